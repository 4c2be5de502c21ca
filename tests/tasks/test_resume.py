"""Four updates, a new start and four more are eight updates, bit for bit."""

from pathlib import Path

import pytest

from tests.conftest import Train, differences, trained

SCHEDULES = {
    "one-shot before training": "",
    "one-shot during training": "--prune-start 3",
    "gradual": "--prune-schedule gradual --prune-start 1 --prune-end 7 --prune-every 2",
    "gradual between two prunings": "--prune-schedule gradual --prune-end 7 --prune-every 3",
}


@pytest.mark.parametrize("arch", ["lstm", "transformer"])
@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_a_resumed_run_equals_the_straight_one(
    train: Train, tmp_path: Path, arch: str, schedule: str
) -> None:
    flags = ["--prune-scheme", "class-blind", "--prune-sparsity", 0.7, *schedule.split()]
    straight = train(tmp_path / "straight", "--max-update", 8, *flags, arch=arch)
    train(tmp_path / "cut", "--max-update", 4, *flags, arch=arch)
    resumed = train(tmp_path / "cut", "--max-update", 8, *flags, arch=arch)
    assert straight["task_state"]["prune"]["acted"] is not None
    assert differences(trained(straight), trained(resumed)) == []
