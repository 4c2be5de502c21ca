"""Criterions with a penalty, in real runs."""

from pathlib import Path
from typing import Any

import pytest

from fairseq_prune.cli.main import main
from tests.conftest import Train, differences, trained

LOSS = "label_smoothed_cross_entropy"
PRUNE = "--prune-scheme class-blind --prune-sparsity 0.6".split()
GROWING = ["--criterion", f"{LOSS}_growing", *PRUNE, "--prune-start", 6]
PENALTIES = {
    "greg-1": GROWING,
    "greg-2": [*GROWING, "--prune-penalty", "greg-2"],
    "greg-2, chosen after the cut": [
        *GROWING[:-1], 7, "--prune-penalty", "greg-2", "--prune-saliency", "taylor",
        "--prune-score-batches", 1,
    ],
    "group lasso": [
        "--criterion", f"{LOSS}_group_lasso", "--prune-scheme", "class-uniform",
        "--prune-structure", "block:4x4", "--prune-start", 6,
    ],
    "group lasso, gradual": [
        "--criterion", f"{LOSS}_group_lasso", *PRUNE, "--prune-structure", "row",
        "--prune-schedule", "gradual", "--prune-start", 2, "--prune-end", 6, "--prune-every", 2,
    ],
}  # fmt: skip


@pytest.mark.parametrize("arch", ["lstm", "transformer"])
@pytest.mark.parametrize("flags", PENALTIES.values(), ids=PENALTIES)
def test_a_resumed_run_equals_the_straight_one_and_verifies(
    train: Train, tmp_path: Path, arch: str, flags: list[Any]
) -> None:
    straight = train(tmp_path / "straight", "--max-update", 8, *flags, arch=arch)
    train(tmp_path / "cut", "--max-update", 3, *flags, arch=arch)
    resumed = train(tmp_path / "cut", "--max-update", 8, *flags, arch=arch)
    assert differences(trained(straight), trained(resumed)) == []
    assert main(["verify", str(tmp_path / "straight" / "checkpoint_last.pt")]) == 0
