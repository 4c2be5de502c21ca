"""Pickles that are small and would make something large: refused before torch reads them."""

import pickle
import struct
import zipfile
from argparse import Namespace
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from _fairseq_prune_compat.loading import CheckpointRefused, CheckpointUnreadable, safe_load
from omegaconf import DictConfig, OmegaConf

HUGE = b"\x8a\x05" + (10**10).to_bytes(5, "little")  # a number, as pickle writes it


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def call(name: str, *words: bytes) -> bytes:
    module, _, last = name.rpartition(".")
    return f"c{module}\n{last}\n".encode() + b"(" + b"".join(words) + b"tR"


def put(number: int) -> bytes:
    return b"q" + bytes([number])


def get(number: int) -> bytes:
    return b"h" + bytes([number])


def chain(links: int, link: Any, begin: bytes) -> bytes:
    """A list of a value and, ``links`` times, what is made of the value before."""
    made = b"](" + begin + put(1)
    for _ in range(links):
        made += link(get(1)) + put(1)
    return made + b"e"


def many(count: int, one: bytes, begin: bytes) -> bytes:
    """A list of as many values, each made of the same large one."""
    return b"](" + begin + put(1) + one * count + b"e"


def view(*sides: bytes) -> bytes:
    """A tensor of this shape that repeats one number."""
    storage = (
        b"((" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\x01tQ"
    )
    zeros = b"(" + b"K\x00" * len(sides) + b"t"
    rest = b"K\x00(" + b"".join(sides) + b"t" + zeros + b"\x89" + call("collections.OrderedDict")
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + storage + rest + b"tR"


LARGE = text("x" * 200_000)
DICT = b"}(" + b"".join(text(str(n)) + b"N" for n in range(3000)) + b"u"
GROWING = {
    "texts that double": chain(
        40, lambda x: call("_codecs.encode", x, text("hex")),
        call("_codecs.encode", text("ab"), text("latin1")),
    ),
    "a text that is copied": many(900, call("_codecs.encode", get(1), text("latin1")), LARGE),
    "what it says of itself": chain(40, lambda x: call("builtins.str", b"(" + x * 2 + b"t"), b"N"),
    "a list of letters": many(900, call("builtins.list", get(1)), LARGE),
    "settings that are copied": many(900, b"cargparse\nNamespace\n)\x81" + get(1) + b"b", DICT),
    "a key that takes for ever": b"}" + chain(60, lambda x: x * 2 + b"\x86", b")") + get(1) + b"Ns",
    "settings that are built": call("omegaconf.dictconfig.DictConfig", DICT),
    "an array of any number": call("numpy.ndarray", b"(" + HUGE + b"t"),
    "a view far larger than its memory": view(HUGE, HUGE),
    "a copy of such a view": call(
        "torch._utils._rebuild_device_tensor_from_cpu_tensor", view(HUGE), b"ctorch\nfloat64\n",
        text("cpu"), b"\x89",
    ),
    "a call by another": call("torch._tensor._rebuild_from_type_v2", b"cbuiltins\nstr\n", b"NNN"),
    "numbers that are not there": view(b"K\x01").replace(b"K\x01tQ", HUGE + b"tQ"),
    "lists that double": chain(60, lambda x: b"](" + x * 2 + b"e", b"]"),
}  # fmt: skip


def archive(path: Path, made: bytes, name: str = "archive/data.pkl") -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(name, b"\x80\x02" + made + b".")
        file.writestr("archive/byteorder", "little")
        file.writestr("archive/data/0", bytes(4))
        file.writestr("archive/version", "3\n")
    return path


@pytest.mark.parametrize("made", GROWING.values(), ids=GROWING)
def test_what_would_grow_is_refused(made: bytes, tmp_path: Path) -> None:
    with pytest.raises(CheckpointRefused, match="a.pt .*; if you trust whoever made the file"):
        safe_load(archive(tmp_path / "a.pt", made))


@pytest.mark.parametrize("before", range(5))
def test_each_pickle_of_an_old_file_is_looked_at(before: int, tmp_path: Path) -> None:
    torch.save({}, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    with (tmp_path / "a.pt").open("rb") as file:
        sound = [pickle.dumps(pickle.load(file), 2) for _ in range(5)]
    sound[before] = b"\x80\x02" + GROWING["texts that double"] + b"."
    (tmp_path / "a.pt").write_bytes(b"".join(sound))
    with pytest.raises(CheckpointRefused, match="encodes a text"):
        safe_load(tmp_path / "a.pt")


def test_torch_takes_capitals_for_the_same_name(tmp_path: Path) -> None:
    made = GROWING["texts that double"]
    with pytest.raises(CheckpointRefused):
        safe_load(archive(tmp_path / "a.pt", made, "archive/DATA.PKL"))


def test_an_archive_of_two_directories_is_refused(tmp_path: Path) -> None:
    """Python takes the one before the end, torch the one that the end names."""
    evil = archive(tmp_path / "evil.pt", GROWING["texts that double"]).read_bytes()
    sound = archive(tmp_path / "sound.pt", b"}").read_bytes()
    both = evil[:-22] + sound[:-22] + evil[-22:]
    (tmp_path / "a.pt").write_bytes(both)
    with pytest.raises(CheckpointUnreadable, match="its directory is not where it says"):
        safe_load(tmp_path / "a.pt")


def test_what_checkpoints_hold_comes_back(tmp_path: Path) -> None:
    weight = torch.randn(3, 4)
    content = {
        "model": OrderedDict(a=weight, b=weight, c=weight.t(), d=torch.tensor(2.0)),
        "more": [torch.nn.Parameter(weight), torch.ones(2, dtype=torch.bfloat16), torch.Size([3])],
        "args": Namespace(lr=[0.1], big=10**30, none=None, yes=True, text="\xe4" * 300),
        "numbers": [np.float64(0.5), np.arange(2000), np.zeros((0, 3)), np.array(["\xe4", "b"])],
        "others": [Counter("abc"), defaultdict(list), {1, 2}, b"\x00\xff" * 99, b"", {}, ()],
        "cfg": OmegaConf.create({"a": {"b": [1, "x", None]}}),
    }
    for zipped in (True, False):
        torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
        back = safe_load(tmp_path / "a.pt")
        assert torch.equal(back["model"]["c"], weight.t()) and back["args"] == content["args"]
        assert back["others"] == content["others"] and isinstance(back["cfg"], DictConfig)
        assert back["cfg"] == content["cfg"] and (back["numbers"][1] == np.arange(2000)).all()
        assert back["more"][2] == torch.Size([3])


def test_a_hundred_views_of_one_tensor_are_no_more_than_one(tmp_path: Path) -> None:
    weight = torch.zeros(1000, 1000)
    torch.save({str(n): weight.detach() for n in range(100)}, tmp_path / "a.pt")
    assert len(safe_load(tmp_path / "a.pt")) == 100
