"""Commands that write: killed or on a full disk, they leave no half file under its final name."""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fairseq_prune.cli.main import main
from tests.conftest import ARCHES, BIN, TRAINING
from tests.faults import breakdown
from tests.faults.trainings import Case, Process
from tests.report import tiny

EVALUATE = "--gen-subset test --beam 1 --max-len-b 9 --cpu".split()
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


@pytest.mark.slow
def test_a_folder_is_the_old_one_or_the_new_one(pruned: Path, corpus: Path, tmp_path: Path) -> None:
    pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed")
    out, log = tmp_path / "out" / "model", tmp_path / "log"

    def export(fault: str) -> tuple[int, str]:
        words = ["export", pruned, "--format", "ctranslate2", "--data", corpus]
        process = Process(log).start(breakdown.command, [*words, "--output", out, "--force"], fault)
        return process.wait(), log.read_text()

    code, said = export("limit:3000")
    assert code == 2 and said.count("\n") == 1 and "could not be written: " in said, said
    assert not out.parent.exists()
    assert export("write:1")[0] == -signal.SIGKILL and not out.exists()
    assert export("")[0] == 0
    old = {path.name: path.read_bytes() for path in out.iterdir()}
    assert export("write:1")[0] == -signal.SIGKILL
    assert {path.name: path.read_bytes() for path in out.iterdir()} == old


@pytest.mark.slow
def test_an_evaluation_says_that_the_disk_is_full_and_goes_on(
    pruned: Path, corpus: Path, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.jsonl"
    words = [BIN / "fairseq-prune", "evaluate", pruned, "--data", corpus, *EVALUATE]
    line = " ".join(map(str, [*words, "--output", rows]))
    full = subprocess.run(["bash", "-c", f"ulimit -f 1; {line}"], capture_output=True, text=True)
    assert full.returncode == 2 and full.stderr.count("\n") == 1
    assert full.stderr.endswith(" could not be read or written: File too large.\n")
    again = subprocess.run(["bash", "-c", line])
    assert again.returncode == 0 and rows.read_text().count("\n") == 1


def test_a_report_says_that_the_disk_is_full(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.add_dense(tmp_path)
    words = ["report", str(tmp_path), "--output", str(tmp_path / "report")]
    with breakdown.full_disk(100):
        assert main(words) == 2
    error = capsys.readouterr().err
    assert error.endswith(" could not be read or written: File too large.\n"), error
    assert error.count("\n") == 1 and list((tmp_path / "report").iterdir()) == []
    assert main(words) == 0
