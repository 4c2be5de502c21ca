"""A run that is killed at any moment goes on to the very result of the undisturbed one."""

import random
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ARCHES, TRAINING
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
LONG = [("lstm", GRADUAL, KILLS), ("transformer", GRADUAL, KILLS), ("transformer", RIGL, 10)]


def flags(corpus: Path, arch: str, prune: list[str]) -> list[Any]:
    return [corpus, *ARCHES[arch], *TRAINING, *prune]


@pytest.mark.parametrize("arch", ["lstm", "transformer"])
def test_kills_and_a_full_disk_change_nothing(corpus: Path, tmp_path: Path, arch: str) -> None:
    case = Case([*flags(corpus, arch, GRADUAL), "--max-update", 8], tmp_path)
    case.finish("straight")
    # the sixth file is the second copy to checkpoint_last.pt
    assert case.end("killed", "write:6")[0] == -signal.SIGKILL
    assert case.updates("killed") == 2
    code, said = case.end("killed", "limit:100000")
    assert code == 1 and "_4.pt could not be written: File too large. What was saved" in said
    assert case.updates("killed") == 2
    case.finish("killed")
    assert case.differences("straight", "killed") == []


def test_sigterm_ends_a_run_at_once_and_loses_nothing(corpus: Path, tmp_path: Path) -> None:
    case = Case([*flags(corpus, "lstm", GRADUAL), "--max-update", 30], tmp_path)
    assert case.kill("killed", after=0, with_signal=signal.SIGTERM) == -signal.SIGTERM
    assert 0 < case.updates("killed") < 30


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
        if case.updates(name) == 40:
            names.append(f"killed-{len(names)}")
    if case.updates(names[-1]) < 40:
        case.finish(names[-1])
    print(f"{killed} kills of {len(names)} runs")
    assert [case.differences("straight", name) for name in names] == [[]] * len(names)
