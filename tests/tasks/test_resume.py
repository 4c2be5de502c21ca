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


def test_a_run_that_is_over_does_not_go_on(train: Train, tmp_path: Path) -> None:
    """A kill between the last save and the end: fairseq would do a fourth update."""
    flags = ["--max-update", 3, "--prune-scheme", "class-blind"]
    train(tmp_path, *flags)
    path = tmp_path / "checkpoint_last.pt"
    before = path.read_bytes()
    train(tmp_path, *flags)
    assert path.read_bytes() == before


def test_patience_is_counted_across_a_cut(train: Train, tmp_path: Path) -> None:
    """The first of four validations is the best; fairseq would count from none after the cut."""
    flags = ["--lr", 0, "--patience", 3, "--save-interval-updates", 1, "--prune-scheme", "erk"]
    ends = [train(tmp_path, *flags, "--max-update", most) for most in (2, 10, 10)]
    assert [end["optimizer_history"][-1]["num_updates"] for end in ends] == [2, 4, 4]
