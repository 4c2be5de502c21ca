"""Commands that write: killed or on a full disk, they leave no half file under its final name."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ARCHES, TRAINING
from tests.faults import breakdown
from tests.faults.trainings import Case, Process

COMMANDS = {
    "apply": "--prune-scheme class-blind --prune-sparsity 0.5",
    "average": "",
    "export compact": "--format compact",
    "export checkpoint": "--format checkpoint",
    "shrink": "",
    "vocab": "--min-count 30",
}
UNITS = "--prune-scheme class-uniform --prune-sparsity 0.5 --prune-structure ffn --max-update 1"

Call = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def pruned(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose units are pruned."""
    place = tmp_path_factory.mktemp("pruned")
    flags = [corpus, *ARCHES["transformer"], *TRAINING, *UNITS.split()]
    Case(flags, place).finish("run")
    return place / "run" / "checkpoint_last.pt"


@pytest.fixture
def call(pruned: Path, corpus: Path, tmp_path: Path) -> Call:
    """Calls a command of COMMANDS with a fault: exit code and output."""
    (tmp_path / "out").mkdir()

    def run(name: str, fault: str) -> tuple[int, str]:
        words: list[Any] = [name.split()[0], *[pruned] * (2 if name == "average" else 1)]
        words += [*COMMANDS[name].split(), "--output", tmp_path / "out" / "file", "--force"]
        if name == "vocab":
            words += ["--data", corpus, "--output-data", tmp_path / "out" / "data"]
        process = Process(tmp_path / "log").start(breakdown.command, words, fault)
        return process.wait(), process.log.read_text()

    return run


@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_is_the_old_one_or_the_new_one(name: str, call: Call, tmp_path: Path) -> None:
    out = tmp_path / "out" / "file"
    code, said = call(name, "limit:3000")
    assert code == 2 and said.count("\n") == 1 and " could not be written: " in said, said
    assert list(out.parent.iterdir()) == []
    out.write_bytes(b"the old one")
    assert call(name, "rename:1")[0] == -signal.SIGKILL
    assert out.read_bytes() == b"the old one" and not (out.parent / "data").exists()
    code, said = call(name, "")
    assert code == 0 and out.read_bytes() != b"the old one", said
