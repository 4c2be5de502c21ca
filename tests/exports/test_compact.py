"""Compact files: what goes in comes out, bit for bit, and nothing bad comes out of bad files."""

import hashlib
import json
import sys
import tracemalloc
from argparse import Namespace

import numpy as np
import pytest
import torch
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save

from fairseq_prune.checkpoints import storage
from fairseq_prune.checkpoints.storage import CheckpointError
from fairseq_prune.exports import compact, planes
from fairseq_prune.exports.manifest import FREE, MAX_RATIO, from_json, to_json
from fairseq_prune.exports.stripped import stripped
from tests.cli.models import DECODER_EMBEDDING, EMBEDDING, FC, SOFTMAX, checkpoint
from tests.conftest import differences

TIED = (EMBEDDING, DECODER_EMBEDDING, SOFTMAX)
PRUNE = ("--prune-scheme", "class-distribution", "--prune-sparsity", "0.6")


def bits(tensor):
    """The tensor as whole numbers, so that NaN equals itself and -0.0 is not 0.0."""
    flat = tensor.contiguous().reshape(-1)
    return flat.view(torch.uint8) if flat.numel() else torch.empty(0, dtype=torch.uint8)


def bits_of(content):
    """A checkpoint, its tensors as bytes, dtypes and shapes."""
    model = {n: (bits(t), str(t.dtype), tuple(t.shape)) for n, t in content["model"].items()}
    return {**content, "model": model}


@pytest.fixture
def content():
    """A stripped checkpoint of which a half of the weights is zero."""
    found = stripped(checkpoint(), "dense.pt")
    found["model"][FC][::2] = 0
    return found


@pytest.fixture
def path(content, tmp_path):
    """A compact file of it."""
    compact.write(content, tmp_path / "model.fsz")
    return tmp_path / "model.fsz"


def sentence(path):
    """What is said of a file that cannot be read."""
    with pytest.raises(CheckpointError) as caught:
        compact.read(path)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
    return str(caught.value)


# one tensor


@st.composite
def tensors(draw):
    """Tensors of every dtype, of few and of no dimensions, with zeros and any bits."""
    dtype = planes.DTYPES[draw(st.sampled_from(sorted(planes.DTYPES)))]
    shape = draw(st.lists(st.integers(0, 9), max_size=3))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    raw = rng.integers(0, 256, (*shape, dtype.itemsize), dtype=np.uint8)
    if dtype == torch.bool:
        raw %= 2
    if draw(st.booleans()):
        raw[..., -1:] //= draw(st.sampled_from([2, 64, 255]))
    raw *= rng.random((*shape, 1)) >= draw(st.sampled_from([0.0, 0.5, 0.9, 1.0]))
    return torch.from_numpy(raw).reshape(-1).view(dtype).reshape(shape)


def round_trip(tensor):
    made = planes.encode(tensor)
    return planes.decode(made.parts, tensor.dtype, tensor.numel(), made.kept, made.base)


@given(tensors())
def test_any_tensor_comes_back_bit_for_bit(tensor):
    back = round_trip(tensor)
    assert back.dtype == tensor.dtype and torch.equal(bits(back), bits(tensor))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_zero_of_either_sign_nan_and_infinity_come_back(dtype):
    values = [0.0, -0.0, float("nan"), -float("nan"), float("inf"), -float("inf"), 1e-7, -3.5]
    tensor = torch.tensor(values * 3).to(dtype)
    assert torch.equal(bits(round_trip(tensor)), bits(tensor))
    payload = torch.full((40,), float("nan")).view(torch.int32) + torch.arange(40).int()
    assert torch.equal(round_trip(payload.view(torch.float32)).view(torch.int32), payload)


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("size", [planes.CHUNK - 1, planes.CHUNK, 2 * planes.CHUNK + 9])
def test_chunks_meet_without_a_seam(sparsity, size):
    generator = torch.Generator().manual_seed(1)
    tensor = torch.randn(size, generator=generator)
    tensor[torch.rand(size, generator=generator) < sparsity] = 0
    assert torch.equal(round_trip(tensor), tensor)


def test_a_mask_is_stored_where_it_saves_bytes():
    tensor = torch.randn(3000, generator=torch.Generator().manual_seed(1))
    assert planes.encode(tensor).kept is None
    tensor[::2] = 0
    made = planes.encode(tensor)
    assert made.kept == 1500 and len(made.parts) == 5
    assert made == planes.encode(tensor)


def test_the_size_is_close_to_the_entropy():
    generator = torch.Generator().manual_seed(1)
    tensor = torch.randn(1 << 18, generator=generator)
    tensor[tensor.abs() < 1.2816] = 0  # 80%
    kept = int(torch.count_nonzero(tensor))
    values = tensor[tensor != 0].view(torch.int32) >> 16
    _, counts = torch.unique(values, return_counts=True)
    share = counts.double() / kept
    entropy = 16 - float((share * share.log2()).sum())  # the lower 16 bits are noise
    part = torch.tensor(kept / tensor.numel(), dtype=torch.double)
    of_mask = -float(part * part.log2() + (1 - part) * (1 - part).log2())
    limit = tensor.numel() * of_mask + kept * entropy
    assert limit / 8 < planes.encode(tensor).size < 1.05 * limit / 8


# settings

NAMES = st.text(max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | NAMES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(NAMES | st.integers() | st.tuples(NAMES), inner, max_size=3)
        | st.dictionaries(NAMES, inner, max_size=3).map(lambda named: namespace(named))
    ),
    max_leaves=12,
)


def namespace(named):
    made = Namespace()
    vars(made).update(named)
    return made


@given(VALUES)
def test_settings_come_back_with_their_types(value):
    text = json.dumps(to_json(value, "cfg"), allow_nan=False)
    back = from_json(json.loads(text))
    assert back == value and repr(back) == repr(value)


def test_nan_comes_back():
    assert repr(from_json(to_json([float("nan")], "cfg"))) == "[nan]"


@pytest.mark.parametrize("value", [np.float64(1), torch.ones(1), b"x", {1}, object()])
def test_settings_of_another_type_are_refused_by_place(value):
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    with pytest.raises(ValueError) as caught:
        to_json({"model": Namespace(a=[1, value])}, "cfg")
    assert str(caught.value) == (
        f"cfg.model.a[1] is of the type {kind}, which a compact file does not hold: it holds None, "
        "bool, int, float, str, list, tuple, dict and argparse.Namespace."
    )


# files


def test_a_checkpoint_comes_back(content, path):
    back = compact.read(path)
    assert differences(bits_of(content), bits_of(back)) == []
    assert list(back["model"]) == list(content["model"])
    assert len({id(back["model"][name]) for name in TIED}) == 1
    assert len({id(t) for t in back["model"].values()}) == len(back["model"]) - 2


def test_the_same_model_gives_the_same_file(content, path, tmp_path):
    compact.write(content, tmp_path / "again.fsz")
    assert path.read_bytes() == (tmp_path / "again.fsz").read_bytes()


@pytest.mark.parametrize("arch", ["lstm", "transformer"])
def test_a_model_that_fairseq_trained_comes_back(arch, train, tmp_path):
    train(tmp_path, "--max-update", 1, *PRUNE, arch=arch)
    content = storage.load(tmp_path / "checkpoint_last.pt")
    for half in (False, True):
        left = stripped(content, "x.pt", half)
        compact.write(left, tmp_path / "model.fsz")
        back = compact.read(tmp_path / "model.fsz")
        assert differences(bits_of(left), bits_of(back)) == []
        assert isinstance(back["cfg"]["model"], Namespace)
        again = stripped(back, "model.fsz")
        assert differences(bits_of(left), bits_of(again)) == []


def test_a_type_of_tensor_that_is_not_stored_is_refused(content, tmp_path):
    content["model"]["odd"] = torch.ones(2, dtype=torch.complex64)
    with pytest.raises(ValueError, match="cannot hold odd, which is of the type torch.complex64.$"):
        compact.write(content, tmp_path / "model.fsz")
    assert list(tmp_path.iterdir()) == []


def test_progress_is_told_in_weights(content, tmp_path):
    told, total = [], sum({id(t): t.numel() for t in content["model"].values()}.values())
    compact.write(content, tmp_path / "model.fsz", told.append)
    assert sum(told) == total
    compact.read(tmp_path / "model.fsz", told.append)
    assert sum(told) == 2 * total


# files that are damaged, or made to do damage


@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_no_flipped_byte_goes_unnoticed(step, content, tmp_path):
    small = {"cfg": {"a": (1,)}, "model": {FC: content["model"][FC], "n": torch.tensor([3])}}
    path = tmp_path / "model.fsz"
    compact.write(small, path)
    good, expected = path.read_bytes(), bits_of(small)
    refused = 0
    for place in range(0, len(good), step):
        bad = bytearray(good)
        bad[place] ^= 1 << (place % 8)
        path.write_bytes(bad)
        try:
            back = compact.read(path)
        except CheckpointError:
            refused += 1
        else:  # the container's padding, or a bit that zstd does not use
            assert differences(expected, bits_of(back)) == []
    assert refused > 0.95 * len(good) / step


def test_no_shortened_file_is_read(path):
    good = path.read_bytes()
    for length in [*range(9, len(good), 37), len(good) - 1]:
        path.write_bytes(good[:length])
        assert "truncated or damaged" in sentence(path)
    path.write_bytes(good + b"x")
    assert "truncated or damaged" in sentence(path)


@given(st.binary(max_size=200))
def test_noise_is_refused(tmp_path_factory, noise):
    path = tmp_path_factory.getbasetemp() / "noise.fsz"
    path.write_bytes(noise)
    assert "truncated or damaged" in sentence(path)


def packed(parts, text, facts=None):
    """A file with this manifest, all checksums of which are right."""
    parts = {**parts, "manifest": np.frombuffer(text, dtype=np.uint8)}
    said = {"format": 1, "sha256": hashlib.sha256(text).hexdigest(), **(facts or {})}
    return save(parts, metadata={"fairseq_prune": json.dumps(said)})


def unpacked(path):
    """The parts of a file, by name."""
    with safe_open(path, framework="numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}


def rewritten(path, change, facts=None):
    """The file with its manifest and parts changed."""
    parts = unpacked(path)
    manifest = json.loads(parts["manifest"].tobytes())
    other = change(manifest, parts)
    text = json.dumps(other if isinstance(other, list) else manifest).encode()
    path.write_bytes(packed(parts, text, facts))
    return path


def test_a_rewritten_file_is_read(path, content):
    back = compact.read(rewritten(path, lambda manifest, parts: None))
    assert differences(bits_of(content), bits_of(back)) == []


def test_a_later_format_is_refused(path):
    rewritten(path, lambda manifest, parts: None, {"format": 2})
    assert sentence(path) == (
        f"{path} has format 2, and this version of fairseq_prune reads up to 1: install a newer "
        "fairseq_prune."
    )


@pytest.mark.parametrize("format", [0, -1, "1", 1.0, True, None, [1]])
def test_a_format_that_is_none_is_refused(format, path):
    rewritten(path, lambda manifest, parts: None, {"format": format})
    assert "it does not say its format" in sentence(path)


def test_a_file_without_manifest_is_refused(path):
    said = json.dumps({"format": 1, "sha256": hashlib.sha256(b"x").hexdigest()})
    path.write_bytes(save({"w": np.ones(3)}, metadata={"fairseq_prune": said}))
    assert "the checksum of its manifest does not match" in sentence(path)


def test_another_safetensors_file_is_refused(path):
    path.write_bytes(save({"w": np.ones(3)}))
    assert sentence(path) == (
        f"{path} is a safetensors file, but none that `fairseq-prune export` wrote."
    )


def entry(**properties):
    """A change of the first tensor's properties."""
    return lambda manifest, parts: manifest["tensors"][0].update(properties)


BAD = {
    "a number that is none": entry(kept=float("nan")),
    "a fraction": entry(shape=[1.0]),
    "a negative side": entry(shape=[-1, 8]),
    "a true side": entry(shape=[True]),
    "a shape that is no list": entry(shape="ab"),
    "many sides": entry(shape=[1] * 65),
    "a huge side": entry(shape=[1 << 62]),
    "a huge side beside none": entry(shape=[0, 1 << 62]),
    "more kept than there are": entry(kept=10),
    "a negative base": entry(base=-1),
    "a base beyond the dtype": entry(base=1 << 31),
    "an unknown dtype": entry(dtype="object"),
    "a dtype that is no name": entry(dtype=["float32"]),
    "another dtype": entry(dtype="float16"),
    "no checksums": entry(sums=[]),
    "checksums that are none": entry(sums=3),
    "one property more": entry(more=1),
    "a name for nothing": lambda manifest, parts: manifest["names"].update(more=99),
    "a name for a negative tensor": lambda manifest, parts: manifest["names"].update(more=-1),
    "a name for half a tensor": lambda manifest, parts: manifest["names"].update(more=1.0),
    "a tensor without name": lambda manifest, parts: manifest["names"].pop(FC),
    "no tensors": lambda manifest, parts: manifest.pop("tensors"),
    "a list": lambda manifest, parts: [1],
    "a part too many": lambda manifest, parts: parts.update(more=np.zeros(3, np.uint8)),
    "a part too few": lambda manifest, parts: parts.pop("1.plane0"),
    "an unknown type": lambda manifest, parts: manifest["settings"].update(cfg={"eval": "1"}),
    "a key that is none": lambda manifest, parts: manifest["settings"].update(
        cfg={"items": [[[], 1]]}
    ),
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD)
def test_a_manifest_that_makes_no_sense_is_refused(change, path):
    assert "cannot be read: it is truncated or damaged (" in sentence(rewritten(path, change))


def test_a_name_given_twice_is_refused(path):
    parts = unpacked(path)
    text = parts["manifest"].tobytes().replace(b'"names":{', b'"names":{"steps":0,')
    assert text[: text.index(b'"tensors":')].count(b'"steps"') == 2
    path.write_bytes(packed(parts, text))
    assert "a name is given twice" in sentence(path)


def test_settings_within_themselves_are_refused(content, tmp_path):
    content["cfg"]["self"] = content["cfg"]
    with pytest.raises(
        ValueError, match="^The settings are nested too deeply for a compact file.$"
    ):
        compact.write(content, tmp_path / "model.fsz")


def test_deep_nesting_is_refused(path):
    text = b'{"names":{},"tensors":[],"settings":{"cfg":' + b"[" * 200_000 + b"]" * 200_000 + b"}}"
    path.write_bytes(packed({}, text))
    assert "truncated or damaged" in sentence(path)


def test_deep_nesting_in_the_header_is_refused(path):
    facts = np.frombuffer(b"[]", dtype=np.uint8)
    path.write_bytes(save({"manifest": facts}, metadata={"fairseq_prune": "[" * 200_000}))
    assert sentence(path).endswith("truncated or damaged (it is nested too deeply).")


def bomb(manifest, parts, claimed, held):
    """Makes the first tensor claim a size, and its planes hold another."""
    frame = zstandard.ZstdCompressor(level=1, write_checksum=True).compress(bytes(held))
    names = [name for name in parts if name.startswith("0.")]
    parts.update({name: np.frombuffer(frame, dtype=np.uint8) for name in names})
    sums = [frame[-4:].hex()] * len(names)
    manifest["tensors"][0].update(shape=[claimed], kept=None, sums=sums[:4])
    parts.pop("0.mask", None)


def peak_of_reading(path):
    tracemalloc.start()
    found = sentence(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found, peak


def test_a_frame_that_holds_more_than_its_tensor_takes_no_memory(path):
    rewritten(path, lambda manifest, parts: bomb(manifest, parts, 1, 1 << 28))
    found, peak = peak_of_reading(path)
    assert "a part has 268435456 bytes and not 1" in found and peak < 1 << 24


def test_a_tensor_out_of_all_proportion_takes_no_memory(path):
    rewritten(path, lambda manifest, parts: bomb(manifest, parts, FREE, 100))
    found, peak = peak_of_reading(path)
    size = path.stat().st_size
    assert f"its {size} bytes claim 26843" in found and f"more than {MAX_RATIO}" in found
    assert peak < 1 << 24


def test_a_frame_that_holds_less_than_its_tensor_is_refused(path):
    rewritten(path, lambda manifest, parts: bomb(manifest, parts, 1000, 999))
    assert "a part has 999 bytes and not 1000" in sentence(path)


def test_a_frame_that_does_not_say_its_size_is_refused(path):
    stream = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    frame = stream.compress(bytes(4)) + stream.flush()

    def hide(manifest, parts):
        bomb(manifest, parts, 4, 4)
        parts["0.plane0"] = np.frombuffer(frame, dtype=np.uint8)
        manifest["tensors"][0]["sums"][0] = frame[-4:].hex()

    assert "a part has -1 bytes and not 4" in sentence(rewritten(path, hide))


def test_a_frame_that_lies_about_its_size_is_refused(path):
    frame = bytearray(zstandard.ZstdCompressor(write_checksum=True).compress(bytes(200)))
    assert frame[5] == 200
    frame[5] = 100

    def lie(manifest, parts):
        bomb(manifest, parts, 100, 100)
        parts["0.plane0"] = np.frombuffer(bytes(frame), dtype=np.uint8)
        manifest["tensors"][0]["sums"][0] = frame[-4:].hex()

    assert "no sound zstd frame" in sentence(rewritten(path, lie))


def test_a_mask_that_keeps_other_than_it_says_is_refused(path):
    for kept in (0, 5):

        def change(manifest, parts, kept=kept):
            bomb(manifest, parts, 9, kept)
            frame = zstandard.ZstdCompressor(write_checksum=True).compress(b"\xe0\x00")
            parts["0.mask"] = np.frombuffer(frame, dtype=np.uint8)
            sums = manifest["tensors"][0]["sums"]
            sums = [frame[-4:].hex(), *sums]
            manifest["tensors"][0].update(kept=kept, sums=sums)

        assert "a mask keeps" in sentence(rewritten(path, change))


def test_a_bool_that_is_neither_is_refused(path):
    def odd(manifest, parts):
        bomb(manifest, parts, 4, 4)
        frame = zstandard.ZstdCompressor(write_checksum=True).compress(b"\x01\x00\x02\x01")
        for plane in (1, 2, 3):
            parts.pop(f"0.plane{plane}")
        parts["0.plane0"] = np.frombuffer(frame, dtype=np.uint8)
        sums = [frame[-4:].hex()]
        manifest["tensors"][0].update(dtype="bool", base=0, sums=sums)

    assert "a bool is neither 0 nor 1" in sentence(rewritten(path, odd))


def test_what_could_not_be_read_is_not_written(content, tmp_path):
    content["model"]["zeros"] = torch.zeros(1).expand(FREE)
    with pytest.raises(ValueError, match="is not written, as nobody could read it: its"):
        compact.write(content, tmp_path / "model.fsz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["zstandard", "safetensors"])
def test_a_missing_package_is_named(package, content, path, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    said = f"^A compact file needs {package}, which is not installed: pip install {package}.$"
    with pytest.raises(ValueError, match=said):
        compact.write(content, tmp_path / "other.fsz")
    with pytest.raises(ValueError, match=package):
        compact.read(path)
    assert not (tmp_path / "other.fsz").exists()
