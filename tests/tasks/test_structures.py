"""Blocks, rows and N:M patterns in real runs: held, resumed, verified."""

from pathlib import Path

import pytest
import torch

from fairseq_prune.checkpoints.storage import masks_of
from fairseq_prune.cli.main import main
from tests.conftest import Train, differences, trained

STRUCTURES = {
    "blocks": "--prune-scheme class-blind --prune-structure block:4x4 --prune-pool max",
    "rows, gradual": (
        "--prune-scheme class-uniform --prune-structure row --prune-schedule gradual --prune-end 5 "
        "--prune-every 2"
    ),
    "2 of 4": "--prune-scheme class-uniform --prune-structure 2:4",
}


@pytest.mark.parametrize("arch", ["lstm", "transformer"])
@pytest.mark.parametrize("flags", STRUCTURES.values(), ids=STRUCTURES)
def test_a_run_is_resumed_and_verified(
    train: Train, tmp_path: Path, arch: str, flags: str, capsys: pytest.CaptureFixture[str]
) -> None:
    straight = train(tmp_path / "straight", "--max-update", 6, *flags.split(), arch=arch)
    train(tmp_path / "cut", "--max-update", 3, *flags.split(), arch=arch)
    resumed = train(tmp_path / "cut", "--max-update", 6, *flags.split(), arch=arch)
    assert differences(trained(straight), trained(resumed)) == []
    assert main(["verify", str(tmp_path / "straight" / "checkpoint_last.pt")]) == 0
    if "2:4" in flags:
        masks = masks_of(straight, "checkpoint")
        assert masks is not None
        for name, mask in masks.items():
            kept = mask.reshape(-1, 4).sum(dim=1)
            a, b = masks.fixed.get(name, (0, 0))
            assert set(torch.cat([kept[: a // 4], kept[b // 4 :]]).tolist()) == {2}


def test_a_shape_that_does_not_divide_is_refused_before_training(
    train: Train, tmp_path: Path
) -> None:
    flags = ["--prune-scheme", "class-uniform", "--prune-structure", "5:7"]
    with pytest.raises(SystemExit, match="needs inputs in multiples of 7, but"):
        train(tmp_path, "--max-update", 1, *flags)
    assert not (tmp_path / "checkpoint_last.pt").exists()
