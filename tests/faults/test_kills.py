"""A run that is killed at any moment goes on to the very result of the undisturbed one."""

import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ARCHES, BIN, ROOT, TRAINING, run, torchrun
from tests.faults.trainings import Case, Fresh

KILLS = 50  # per architecture
SAVES = "--save-interval-updates 2 --keep-interval-updates 1"
GRADUAL = (
    "--prune-scheme class-blind --prune-sparsity 0.7 --prune-schedule gradual --prune-start 3 "
    f"--prune-end 35 --prune-every 4 {SAVES}"
).split()
RIGL = (
    "--prune-scheme erk --prune-sparsity 0.7 --prune-saliency random --prune-schedule rigl "
    f"--prune-end 35 --prune-every 4 --prune-score-batches 2 {SAVES}"
).split()
GREG = (
    "--prune-scheme class-blind --prune-sparsity 0.7 --prune-start 36 --prune-penalty greg-2 "
    f"--criterion label_smoothed_cross_entropy_growing --prune-penalty-ceiling 10 {SAVES}"
).split()
LASSO = (
    "--prune-scheme class-uniform --prune-sparsity 0.7 --prune-structure row --prune-schedule "
    "gradual --prune-start 3 --prune-end 35 --prune-every 4 "
    f"--criterion label_smoothed_cross_entropy_group_lasso {SAVES}"
).split()
LONG = [
    ("lstm", GRADUAL, KILLS),
    ("transformer", GRADUAL, KILLS),
    ("transformer", RIGL, 10),
    ("transformer", GREG, 10),
    ("lstm", LASSO, 10),
]


def flags(corpus: Path, arch: str, prune: list[str]) -> list[Any]:
    return [corpus, *ARCHES[arch], *TRAINING, *prune]


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["lstm", "transformer"])
def test_kills_and_a_full_disk_change_nothing(corpus: Path, tmp_path: Path, arch: str) -> None:
    case = Case([*flags(corpus, arch, GRADUAL), "--max-update", 8], tmp_path)
    case.finish("straight")
    # the fourth file is the second copy to checkpoint_last.pt; no best one before the last update
    assert case.end("killed", "write:4")[0] == -signal.SIGKILL
    assert case.updates("killed") == 2
    code, said = case.end("killed", "limit:100000")
    assert code == 1 and "_4.pt could not be written: File too large. What was saved" in said
    assert case.updates("killed") == 2
    case.finish("killed")
    assert case.differences("straight", "killed") == []


@pytest.mark.slow
def test_sigterm_ends_a_run_at_once_and_loses_nothing(corpus: Path, tmp_path: Path) -> None:
    case = Case([*flags(corpus, "lstm", GRADUAL), "--max-update", 30], tmp_path)
    case.finish("straight")
    assert case.kill("killed", after=0, with_signal=signal.SIGTERM) == -signal.SIGTERM
    assert 0 < case.updates("killed") < 30
    case.finish("killed")
    assert case.differences("straight", "killed") == []


@pytest.mark.slow
@pytest.mark.parametrize(("arch", "prune", "kills"), LONG)
def test_kills_at_random_moments_and_in_files_change_nothing(
    corpus: Path, tmp_path: Path, arch: str, prune: list[str], kills: int
) -> None:
    case = Case([*flags(corpus, arch, prune), "--max-update", 40], tmp_path, Fresh)
    case.finish("straight")
    draw, killed, names = random.Random(1), 0, ["killed-0"]
    while killed < kills:
        name, kind = names[-1], draw.choice(["write", "rename", "moment"])
        if kind == "moment":
            code = case.kill(name, after=draw.uniform(0, 0.3))
        else:
            code = case.end(name, f"{kind}:{draw.randint(1, 9)}")[0]
        assert code in (0, -signal.SIGKILL)
        killed += code != 0
        print(f"{arch}: {killed} kills, the last one {kind}", flush=True)
        if case.updates(name) == 40:
            names.append(f"killed-{len(names)}")
    if case.updates(names[-1]) < 40:
        case.finish(names[-1])
    assert [case.differences("straight", name) for name in names] == [[]] * len(names)


@pytest.mark.slow
def test_sigterm_for_torchrun_ends_all_ranks_and_loses_nothing(
    corpus: Path, tmp_path: Path
) -> None:
    def command(name: str) -> list[str]:
        gloo = ["--distributed-backend", "gloo", "--ddp-backend", "legacy_ddp"]
        words = [*flags(corpus, "lstm", GRADUAL), *gloo, "--max-update", 60, "--user-dir"]
        words += [ROOT / "fairseq_prune", "--save-dir", tmp_path / name]
        return [str(BIN / "torchrun"), *map(str, (*torchrun(2)[1:], *words))]

    run(*command("straight"))
    with (tmp_path / "log").open("w") as log:
        training = subprocess.Popen(command("stopped"), stdout=log, stderr=log)
    last = tmp_path / "stopped" / "checkpoint_last.pt"
    while training.poll() is None and not last.exists():
        time.sleep(0.05)
    training.terminate()
    assert training.wait(60) == 1
    assert "SignalException" in (tmp_path / "log").read_text()
    time.sleep(1)
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if _mentions(path, tmp_path)]
    assert left == []
    case = Case([], tmp_path)
    assert 0 < case.updates("stopped") < 60
    run(*command("stopped"))
    assert case.differences("straight", "stopped") == []


def _mentions(path: Path, place: Path) -> bool:
    try:
        return f"{place}/stopped" in path.read_text(errors="replace")
    except OSError:  # it has ended since
        return False
