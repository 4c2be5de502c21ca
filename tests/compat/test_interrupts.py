"""Ctrl-C in real processes, from their imports on: one line, exit code 130, no half of a file."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ARCHES, BIN, TRAINING

TRAIN = [
    "--user-dir", "fairseq_prune", *ARCHES["transformer"], *TRAINING, "--max-update", "100000",
    "--prune-scheme", "class-blind", "--save-interval-updates", "1", "--keep-interval-updates", "2",
]  # fmt: skip
Start = Callable[..., "subprocess.Popen[str]"]
Moment = Callable[["subprocess.Popen[str]", Path], bool]


def _hears_interrupts() -> None:
    # a job that a shell put into the background ignores them, and so would what it starts
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a command in a group of its own, as a shell does; what it says goes to a file."""
    begun: list[subprocess.Popen[str]] = []

    def begin(*words: Any) -> "subprocess.Popen[str]":
        with (tmp_path / "said").open("w") as said:
            process = subprocess.Popen(
                [str(word) for word in words], cwd=tmp_path, stdout=said, stderr=said, text=True,
                start_new_session=True, preexec_fn=_hears_interrupts,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
        begun.append(process)
        return process

    yield begin
    for process in begun:
        if process.poll() is None:
            process.kill()
            process.wait()


def maps(library: str) -> Moment:
    """While it imports: it has begun to load this library."""

    def there(process: "subprocess.Popen[str]", _: Path) -> bool:
        return library in Path(f"/proc/{process.pid}/maps").read_text()

    return there


def says(text: str) -> Moment:
    return lambda _, folder: text in (folder / "said").read_text()


def holds(name: str) -> Moment:
    return lambda _, folder: (folder / name).exists()


def interrupted(
    process: "subprocess.Popen[str]", moment: Moment, folder: Path, wait: float = 0
) -> str:
    """What it said; Ctrl-C comes ``wait`` seconds after the moment."""
    end = time.monotonic() + 120
    while not moment(process, folder):
        assert process.poll() is None and time.monotonic() < end, (folder / "said").read_text()
        time.sleep(0.01)
    time.sleep(wait)
    os.killpg(process.pid, signal.SIGINT)
    code = process.wait(timeout=60)
    said = (folder / "said").read_text()
    assert code == 130, said[-3000:]
    assert "Traceback" not in said and "ignored" not in said, said[-3000:]
    return said


@pytest.mark.parametrize("library", ["multiarray", "libtorch"])
@pytest.mark.parametrize(
    "command",
    [
        ["fairseq-prune", "verify", "no.pt"],
        ["fairseq-train", "DATA", "--user-dir", "fairseq_prune"],
    ],
    ids=["ours", "fairseq's"],
)
def test_imports_end_at_once(
    command: list[str], library: str, start: Start, tmp_path: Path
) -> None:
    process = start(BIN / command[0], *command[1:])
    said = interrupted(process, maps(library), tmp_path)
    assert said == f"{command[0]}: interrupted.\n"


@pytest.mark.parametrize("words", ["fairseq_prune.cli.main verify", "fairseq_cli.train"])
def test_modules_are_known_too(words: str, start: Start, tmp_path: Path) -> None:
    process = start(sys.executable, "-m", *words.split(), "DATA")
    said = interrupted(process, maps("libtorch"), tmp_path)
    assert said.endswith(": interrupted.\n") and said.count("\n") == 1


TRAINING_MOMENTS: dict[str, tuple[Moment, float]] = {
    "model": (says("fairseq_cli.train | task: "), 0.0),
    "data": (says("loaded 120 examples"), 0.0),
    "first batch": (says("begin training epoch 1"), 0.1),
    "saving": (holds("run/checkpoint_last.pt"), 0.05),
    "later": (holds("run/checkpoint_last.pt"), 1.0),
}


@pytest.mark.slow
@pytest.mark.parametrize("moment", TRAINING_MOMENTS)
def test_a_training_leaves_whole_files(
    moment: str, start: Start, corpus: Path, tmp_path: Path
) -> None:
    process = start(BIN / "fairseq-train", corpus, *TRAIN, "--save-dir", tmp_path / "run")
    when, wait = TRAINING_MOMENTS[moment]
    said = interrupted(process, when, tmp_path, wait)
    assert said.endswith("fairseq-train: interrupted.\n")
    left = sorted((tmp_path / "run").glob("*")) if (tmp_path / "run").exists() else []
    assert all(path.suffix == ".pt" for path in left), left
    from tests.conftest import audit_of

    assert all(audit_of(str(path)).ok for path in left)
    if moment != "first batch":  # on a busy machine that is saved by then
        assert bool(left) == (moment in ("saving", "later"))


@pytest.mark.slow
@pytest.mark.parametrize("wait", [0.0, 0.5, 1.0, 2.0])
def test_a_command_ends_with_the_training_that_it_runs(
    wait: float, start: Start, corpus: Path, tmp_path: Path
) -> None:
    process = start(
        BIN / "fairseq-prune", "tickets", "--output", "tickets", "--rounds", 2, "--rewind-to", 2,
        "--prune-scheme", "class-blind", "--", corpus, *ARCHES["lstm"], *TRAINING,
        "--max-update", 100000,
    )  # fmt: skip
    said = interrupted(process, holds("tickets"), tmp_path, wait)
    assert said.endswith("fairseq-prune: interrupted.\n")
