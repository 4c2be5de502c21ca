"""Pruned weights stay at zero whatever the optimizer does."""

from pathlib import Path
from typing import Any

import pytest
import torch

from fairseq_prune.checkpoints.storage import masks_of
from tests.conftest import Train, audit_of, differences, trained

PRUNE = ["--prune-scheme", "class-blind", "--prune-sparsity", 0.6]
OPTIMIZERS = {
    "adam": "",
    "sgd with momentum": "--optimizer sgd --momentum 0.9",
    "nag": "--optimizer nag",
    "adafactor": "--optimizer adafactor",
    "adagrad": "--optimizer adagrad",
    "adam, two batches an update": "--update-freq 2",
}


def non_zeros(checkpoint: dict[str, Any]) -> tuple[int, int]:
    """How many weights are pruned, and how many of those are not zero, in all that is saved."""
    masks = masks_of(checkpoint, "checkpoint")
    assert masks is not None
    extra = checkpoint["extra_state"]
    copies = [checkpoint["model"], extra.get("ema", {}), extra.get("ema_fp32_params", {})]
    gone = sum(map(masks.removed, masks))
    bad = sum(
        int(torch.count_nonzero(copy[name][~mask]))
        for copy in copies
        for name, mask in masks.items()
        if name in copy
    )
    return gone, bad


@pytest.mark.parametrize("arch", ["lstm", "transformer"])
@pytest.mark.parametrize("flags", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_masks_hold_through(train: Train, tmp_path: Path, arch: str, flags: str) -> None:
    done = train(tmp_path, "--max-update", 4, *PRUNE, "--prune-start", 2, *flags.split(), arch=arch)
    gone, bad = non_zeros(done)
    assert gone > 1000
    assert bad == 0


def test_moments_of_pruned_weights_are_forgotten(train: Train, tmp_path: Path) -> None:
    done = train(tmp_path, "--max-update", 4, *PRUNE, "--prune-start", 2)
    masks = masks_of(done, "checkpoint")
    assert masks is not None
    names = [name for name, _ in done["task_state"]["prune"]["parameters"]]
    state = done["last_optimizer_state"]["state"]
    for number, name in enumerate(names):
        if name in masks:
            assert int(torch.count_nonzero(state[number]["exp_avg"][~masks[name]])) == 0
            assert int(torch.count_nonzero(state[number]["exp_avg_sq"][~masks[name]])) == 0


@pytest.mark.parametrize("flags", ["--store-ema", "--store-ema --ema-fp32"])
def test_the_moving_average_is_held_too(train: Train, tmp_path: Path, flags: str) -> None:
    done = train(tmp_path, "--max-update", 4, *PRUNE, "--prune-start", 2, *flags.split())
    assert "ema" in done["extra_state"]
    assert non_zeros(done)[1] == 0


AVERAGES = {
    "made before the masks, updated after the save": "--ema-update-freq 3",
    "the same, in fp32": "--ema-update-freq 3 --ema-fp32",
    "of fp16 weights, with a copy of each name of a tied table": (
        "--ema-fp32 --memory-efficient-fp16 --share-all-embeddings"
    ),
}


@pytest.mark.parametrize("flags", AVERAGES.values(), ids=AVERAGES)
def test_the_moving_average_is_held_from_the_moment_of_the_masks(
    flags: str, train: Train, tmp_path: Path
) -> None:
    more = ["--prune-start", 2, "--store-ema", *flags.split()]
    train(tmp_path, "--max-update", 2, *PRUNE, *more, arch="transformer")
    found = audit_of(str(tmp_path / "checkpoint_last.pt"))
    assert found.ok, [*found.violations, *found.problems]
    assert "EMA" in found.checked and ("EMA (fp32)" in found.checked) == ("--ema-fp32" in flags)


@pytest.mark.parametrize("arch", ["lstm", "transformer"])
def test_nothing_is_held_at_sparsity_zero(train: Train, tmp_path: Path, arch: str) -> None:
    dense = train(tmp_path / "dense", "--max-update", 4, arch=arch)
    zero = train(
        tmp_path / "zero",
        "--max-update",
        4,
        "--prune-scheme",
        "erk",
        "--prune-sparsity",
        0,
        arch=arch,
    )
    a, b = trained(dense), trained(zero)
    assert differences(a["model"], b["model"]) == []
    assert differences(a["optimizer"], b["optimizer"]) == []


def test_clipping_sees_the_sparse_gradient(
    train: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from fairseq_prune.masks.hold import Holder
    from fairseq_prune.tasks import _held

    caplog.set_level("INFO")

    def norms(folder: str) -> list[str]:
        caplog.clear()
        train(tmp_path / folder, "--max-update", 2, *PRUNE, "--clip-norm", 0.05)
        text = [r.getMessage() for r in caplog.records if r.name == "train_inner"]
        return [line.partition("gnorm")[2][:8] for line in text]

    sparse = norms("sparse")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Holder, "zero_gradients_", lambda self: None)
        # moments remember gradients that are not held, which no run would save
        patch.setattr(_held, "check_copies", lambda *_: None)
        dense = norms("dense")
    assert sparse and dense and sparse != dense


def test_lifting_second_moments_changes_nothing_that_is_saved(train: Train, tmp_path: Path) -> None:
    from fairseq_prune.masks.hold import Holder

    flags = ["--max-update", 6, "--save-interval-updates", 2, *PRUNE, "--prune-start", 2]
    lifted = train(tmp_path / "lifted", *flags)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Holder, "lift_second_moments_", lambda *_: False)
        plain = train(tmp_path / "plain", *flags)
    a, b = trained(lifted), trained(plain)
    assert differences(a["model"], b["model"]) == []
    assert differences(a["optimizer"], b["optimizer"]) == []
