"""Checkpoints that were made by anybody: one sentence, nothing run, nothing written elsewhere.

More of it: tests/cli/test_bad_input.py (each sentence), tests/compat/test_loading.py (pickles under
fairseq itself), tests/compat/test_commands.py and test_with_fairseq.py (fairseq's own commands),
tests/masks and tests/checkpoints/test_record.py, tests/exports/test_compact.py (compact files).
"""

import os
from argparse import Namespace
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairseq_prune.cli.main import COMMANDS, main
from tests.cli.models import FC, checkpoint, read, write
from tests.untrusted.conftest import Call
from tests.untrusted.damage import FEW, MANY, damaged, spoilt

BLIND = ("--prune-scheme", "class-blind", "--prune-sparsity", "0.7")
FUZZ = dict(deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def dense(folder: Path) -> str:
    return write(folder / "dense.pt", checkpoint())


@pytest.fixture(scope="module")
def pruned(folder: Path, dense: str) -> Any:
    """What a pruned checkpoint holds, an average too."""
    flags = ["--prune-scheme", "class-blind", "--prune-sparsity", "0.5"]
    assert main(["apply", dense, "--output", str(folder / "pruned.pt"), *flags]) == 0
    content = read(folder / "pruned.pt")
    content["extra_state"]["ema"] = {k: v.clone() for k, v in content["model"].items()}
    content["args"] = Namespace(arch="transformer", task="translation")
    return content


def commands(folder: Path) -> list[tuple[Any, ...]]:
    """Every command that takes a checkpoint alone; the checkpoint goes behind the first word."""
    out, force = folder / "out", "--force"
    return [
        ("inspect", "--json"),
        ("inspect",),
        ("verify",),
        ("apply", "--dry-run", *BLIND),
        ("apply", "--output", out, force, "--prune-mask-from", folder / "pruned.pt"),
        ("average", "--output", out, force),
        ("export", "--format", "compact", "--output", out, force),
        ("export", "--format", "checkpoint", "--half", "--output", out, force),
        ("shrink", "--dry-run", "--anyway"),
        ("control", "--weights", folder / "dense.pt", "--kind", "shuffle", "--output", out, force),
        ("apply", folder / "dense.pt", "--dry-run", "--prune-mask-from"),
    ]


@pytest.mark.parametrize("begin", [(), ("task_state", "prune")], ids=["all", "record"])
@pytest.mark.parametrize("count", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_values_where_others_belong(
    count: int, begin: tuple[str, ...], call: Call, folder: Path, pruned: Any
) -> None:
    @settings(max_examples=count, **FUZZ)
    @given(st.data())
    def one(data: Any) -> None:
        content = data.draw(damaged(pruned, begin))
        try:
            torch.save(content, folder / "evil.pt")
        except Exception:  # nobody can write such a file with torch
            return
        command, *flags = data.draw(st.sampled_from(commands(folder)))
        path = folder / "evil.pt"
        last = flags and flags[-1] == "--prune-mask-from"
        call(command, *flags, path) if last else call(command, path, *flags)

    one()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("count", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_bytes_that_were_changed_or_cut(
    count: int, zipped: bool, call: Call, folder: Path, pruned: Any
) -> None:
    path = folder / "evil.pt"
    torch.save(pruned, path, _use_new_zipfile_serialization=zipped)
    for bad in spoilt(path.read_bytes(), count):
        path.write_bytes(bad)
        call("inspect", path)
        call("verify", path)


class Calls:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


# what each command needs beside the checkpoint to come so far as to open it
MORE: dict[str, tuple[Any, ...]] = {
    "apply": ("--dry-run", *BLIND),
    "average": ("--output", "OUT"),
    "bench": ("--data", "DATA"),
    "classify": ("--data", "CLASSES"),
    "control": ("--weights", "DENSE", "--kind", "shuffle", "--output", "OUT"),
    "evaluate": ("--data", "DATA", "--gen-subset", "test"),
    "export": ("--format", "compact", "--output", "OUT"),
    "retrain": ("--data", "DATA", *BLIND),
    "sensitivity": ("--data", "DATA", *BLIND),
    "shrink": ("--dry-run",),
    "translate": ("--data", "DATA"),
    "vocab": ("--data", "DATA", "--dry-run"),
}


@pytest.mark.parametrize("command", ["inspect", "verify", *MORE])
def test_every_command_refuses_a_pickle_that_would_run_a_program(
    command: str, call: Call, folder: Path, dense: str
) -> None:
    data, classes = folder / "data", folder / "classes"
    pairs = ("dict.de.txt", "dict.en.txt", "test.de-en.de.idx", "valid.de-en.de.idx")
    pairs += ("train.de-en.de.idx",)
    parts = [f"{part}/{name}" for part in ("input0", "label") for name in ("dict.txt", "test.idx")]
    for place in [*(data / name for name in pairs), *(classes / name for name in parts)]:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("haus 3\n")
    path = folder / "evil.pt"
    content = {**checkpoint(), "extra_state": Calls(os.system, f"touch {folder}/ran")}
    torch.save(content, path)
    words = {"OUT": folder / "new", "DENSE": dense, "DATA": data, "CLASSES": classes}
    flags = [words.get(flag, flag) for flag in MORE.get(command, ())]
    code, sentence = call(command, path, *flags)
    assert code == 2 and "posix.system" in sentence, sentence
    assert not (folder / "ran").exists() and not (folder / "new").exists()


def test_no_command_was_forgotten() -> None:
    without = {"flags", "report", "study", "tickets"}  # they take no checkpoint
    assert {"inspect", "verify", *MORE} == set(COMMANDS) - without


def deep(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value]
    return value


def laughs() -> Any:
    """A list of two lists of two lists ...: a thousand bytes, and 2^60 values."""
    value: Any = [1]
    for _ in range(60):
        value = [value, value]
    return value


def within_itself() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


def with_attributes() -> Any:
    value: Any = OrderedDict(a=torch.ones(2, 2))
    value.values = 3
    return value


GROWING = {
    "bytes of any number": lambda: Calls(bytes, 10**11),
    "a bytearray of any number": lambda: Calls(bytearray, 10**11),
    "a tensor of any number": lambda: Calls(torch.FloatTensor, 10**11),
    "a view far larger than its memory": lambda: torch.ones(1).expand(10**6, 10**6),
    "lists that double": laughs,
    "a list within itself": within_itself,
    "deep nesting": lambda: deep(1, 150),
}
ODD = {
    "a sparse tensor": lambda: torch.ones(16, 8).to_sparse(),
    "a tensor without values": lambda: torch.ones(16, 8, device="meta"),
    "a dict with methods of its own": with_attributes,
}


@pytest.mark.parametrize("place", ["model", "extra_state"])
@pytest.mark.parametrize("make", (GROWING | ODD).values(), ids=GROWING | ODD)
def test_what_grows_or_is_no_plain_value_is_refused(
    make: Any, place: str, call: Call, folder: Path
) -> None:
    content = checkpoint()
    content[place][FC if place == "model" else "x"] = make()
    path = folder / "evil.pt"
    torch.save(content, path)
    export = ("export", path, "--format", "compact", "--output", folder / "out", "--force")
    for command in (("inspect", path), export):
        code, sentence = call(*command)
        assert code == 2
        assert f"{path} is refused: it " in sentence or f"{path} is no checkpoint" in sentence


@pytest.mark.parametrize(
    "key, value",
    [("config", {"given": "/etc/passwd"}), ("config", {"classes": 3}), ("notes", {"a": b"x"}),
     ("extremes", {"a": [1, "b"]}), ("config", {"every": 10**30}), ("penalty", [1])],
)  # fmt: skip
def test_a_record_that_cannot_be_true_is_refused(
    key: str, value: Any, call: Call, folder: Path, pruned: Any
) -> None:
    record = dict(pruned["task_state"]["prune"])
    record[key] = {**record[key], **value} if isinstance(record[key], dict) else value
    path = folder / "evil.pt"
    torch.save({**pruned, "task_state": {"prune": record}}, path)
    code, sentence = call("inspect", path)
    assert code == 2 and f"What {path} says of its pruning is damaged (" in sentence
    assert "root:" not in sentence


def test_a_name_of_several_lines_is_said_on_one(call: Call, folder: Path) -> None:
    # equal tables, in a model that cannot be built: the message names both
    content = checkpoint()
    content["model"] = {n: v for n, v in content["model"].items() if v.dim() != 2 or "fc1" in n}
    table = torch.randn(8, 8)
    content["model"] |= {"encoder.embed_tokens.weight": table, "a\nb.weight": table.clone()}
    torch.save(content, folder / "evil.pt")
    code, sentence = call("inspect", folder / "evil.pt")
    assert code == 2 and "a b.weight are equal in every bit" in sentence, sentence
