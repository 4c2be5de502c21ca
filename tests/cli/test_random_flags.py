"""Random command lines of fairseq-prune: refused in a sentence with nothing written, or done."""

import logging
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fairseq_prune.cli.main import main
from tests.cli.models import checkpoint, write
from tests.cli.random_flags import draw_command, every_flag
from tests.conftest import ARCHES, TRAINING, train_here
from tests.study.studies import write_study

Outcome = tuple[int, str]


def furnish(folder: Path) -> None:
    """The files that are no checkpoints, right and wrong ones."""
    (folder / "text.txt").write_text("a b\n")
    (folder / "given.txt").write_text("* 0.5\n")
    (folder / "empty.pt").write_text("")
    (folder / "cut.pt").write_bytes((folder / "dense.pt").read_bytes()[:1000])
    (folder / "results").mkdir()
    write_study(folder, "  - {stages: pruned, schemes: class-blind, sparsities: 0.5}", "data")
    for language, line in (("de", "ab ba\n"), ("en", "BA AB\n")):
        (folder / f"corpus.{language}").write_text(line)


def furnish_by_hand(folder: Path, call: Callable[..., Any]) -> None:
    """The same, and checkpoints of no network: quick, and no data fit them."""
    dense = write(folder / "dense.pt", checkpoint())
    half = ("--prune-scheme=class-blind", "--prune-sparsity=0.5")
    for name, more in (("pruned.pt", ()), ("units.pt", ("--prune-structure=block:2x2",))):
        assert call("apply", dense, "--output", folder / name, *half, *more)[0] == 0
    furnish(folder)


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Each file below a folder: its size and the time of its last change."""
    stats = {str(path): path.stat() for path in folder.rglob("*") if path.is_file()}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}


def outcome(seed: int, slow: bool, folder: Path, capsys: Any) -> Outcome:
    """Runs the command line of a seed; its exit code and stderr, judged."""
    return judge(draw_command(seed, slow), folder, capsys)


def judge(command: list[str], folder: Path, capsys: Any) -> Outcome:
    """Runs a command line; its exit code and stderr, judged."""
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    words = [w.replace("@@ ", "\0").replace("@", f"{folder}/") for w in command]
    words = [word.replace("\0", "@@ ") for word in words]
    before, here = listing(folder), os.getcwd()
    capsys.readouterr()
    os.chdir(out)  # a path that is drawn may be a relative one
    try:
        code = main(words)
    except SystemExit as end:  # argparse's
        code = int(end.code or 0)
    finally:
        os.chdir(here)
    said, err = capsys.readouterr()
    what = f"fairseq-prune {' '.join(map(repr, words))} ended with {code}: {err}"
    assert "Traceback" not in err and "this is a bug" not in err, what
    lines = err.splitlines()
    if code == 2:
        assert lines and lines[-1].startswith("fairseq-prune: "), what
        assert not lines[-1].startswith("fairseq-prune: fairseq_prune: "), what
        said_so_far = [line for line in lines if not PROGRESS.match(line)]
        assert all(line.startswith(("fairseq-prune: ", "usage: ")) for line in said_so_far), what
        # training has begun, and goes on when the command is given again
        assert listing(folder) == before or "fairseq-train failed" in err, what
    else:
        assert code == 0 or (code == 1 and words[0] in ("verify", "study")), what
        _look_for_outputs(words, what)
    return code, err


def _look_for_outputs(words: list[str], what: str) -> None:
    if "--dry-run" in words or words[0] == "study":
        return
    given = {flag: path for flag, _, path in (word.partition("=") for word in words)}
    for flag in ("--output", "--output-data", "--proposal"):
        assert not given.get(flag) or Path(given[flag]).exists(), what


PROGRESS = re.compile(r"\d\d:\d\d:\d\d  ")  # how far a training was
FAST, LONG, CHUNK = range(30), 300, 50


def test_command_lines_are_refused_or_done(
    tmp_path: Path, call: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    furnish_by_hand(tmp_path, call)
    codes = [outcome(seed, False, tmp_path, capsys)[0] for seed in FAST]
    assert 0.2 * len(codes) < codes.count(0) < 0.8 * len(codes)


@pytest.fixture(scope="module")
def real(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with trained, pruned models and their data."""
    folder = tmp_path_factory.mktemp("real")
    shutil.copytree(corpus, folder / "data")
    words = [folder / "data", *ARCHES["transformer"], *TRAINING, "--max-update", 2]
    train_here([*words, "--save-dir", folder / "run"])
    shutil.copy(folder / "run" / "checkpoint_last.pt", folder / "dense.pt")
    half = ["--prune-scheme=class-uniform", "--prune-sparsity=0.5"]
    for name, more in (("pruned.pt", []), ("units.pt", ["--prune-structure=ffn"])):
        assert main(["apply", f"{folder}/dense.pt", f"--output={folder}/{name}", *half, *more]) == 0
    furnish(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 1000 + LONG, CHUNK))
def test_more_command_lines_are_refused_or_done(
    first: int, real: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logging.disable(logging.WARNING)
    bad = []
    for seed in range(first, first + CHUNK):
        try:
            outcome(seed, True, real, capsys)
        except Exception as error:
            bad.append(f"seed {seed}: {error!r}")
    logging.disable(logging.NOTSET)
    assert bad == []


# a command line that works, or would with a network and data
WHOLE = {
    "apply": "@dense.pt --output=@out/new.pt --prune-scheme=class-blind",
    "average": "@pruned.pt --output=@out/new.pt",
    "bench": "@dense.pt --data=@data",
    "classify": "@dense.pt --data=@data",
    "control": "@pruned.pt --weights=@dense.pt --kind=random --output=@out/new.pt",
    "evaluate": "@dense.pt --data=@data",
    "export": "@pruned.pt --format=compact --output=@out/new.pt",
    "inspect": "@pruned.pt",
    "report": "@results",
    "sensitivity": "@dense.pt --data=@data",
    "shrink": "@pruned.pt --output=@out/new.pt",
    "tickets": "--output=@out/new --rewind-to=0 --prune-scheme=class-blind",
    "verify": "@pruned.pt",
    "vocab": "@dense.pt --data=@data --output=@out/new.pt --output-data=@out/bin",
}


@pytest.mark.slow
@pytest.mark.parametrize("command", WHOLE)
def test_one_flag_more_is_refused_or_done(
    command: str, tmp_path: Path, call: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    furnish_by_hand(tmp_path, call)
    last = ["--", "@data"] if command == "tickets" else []
    for flag in every_flag(command):
        judge([command, *WHOLE[command].split(), flag, *last], tmp_path, capsys)
