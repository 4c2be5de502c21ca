"""Units pruned in real runs: held, resumed, verified, cut out and trained further."""

from pathlib import Path
from typing import Any

import pytest

from fairseq_prune.checkpoints.shrink import plan, shrink
from fairseq_prune.checkpoints.units import groups_in
from fairseq_prune.cli.main import main
from fairseq_prune.tasks.opening import open_checkpoint
from tests.conftest import Train, differences, trained

RUNS = {
    "cells": ("lstm", "--prune-scheme class-uniform --prune-structure hidden"),
    "cells, gradual": (
        "lstm",
        "--prune-scheme class-uniform --prune-structure hidden+embedding --prune-schedule gradual "
        "--prune-end 5 --prune-every 2",
    ),
    "neurons, rising threshold": (
        "transformer",
        "--prune-scheme class-uniform --prune-structure ffn --prune-pool norm "
        "--prune-schedule gradual-threshold --prune-end 5 --prune-every 2",
    ),
    "neurons and heads, by Taylor": (
        "transformer",
        "--prune-scheme class-uniform --prune-structure ffn+heads --prune-saliency taylor "
        "--prune-score-batches 2",
    ),
    "neurons, by SNIP's ratios": (
        "transformer",
        "--prune-scheme class-blind --prune-structure ffn --prune-saliency random "
        "--prune-ratios snip --prune-score-batches 2",
    ),
    "layers, gradual": (
        "transformer",
        "--prune-scheme class-uniform --prune-structure layers --prune-schedule gradual "
        "--prune-end 5 --prune-every 2",
    ),
    "layers, and heads and neurons of those that stay, by Taylor": (
        "transformer",
        "--prune-scheme class-uniform --prune-structure ffn+heads+layers --prune-saliency taylor "
        "--prune-score-batches 2 --prune-schedule gradual --prune-end 5 --prune-every 2",
    ),
    "neurons, growing": (
        "transformer",
        "--prune-scheme class-uniform --prune-structure ffn --prune-start 4 --prune-penalty greg-1 "
        "--criterion label_smoothed_cross_entropy_growing",
    ),
}


def test_units_of_a_frozen_table_are_no_units(train: Train, tmp_path: Path) -> None:
    flags = ["--prune-scheme", "class-uniform", "--prune-structure", "embedding"]
    train(tmp_path, "--max-update", 1, "--encoder-freeze-embed", *flags)
    assert main(["verify", str(tmp_path / "checkpoint_last.pt")]) == 0


@pytest.mark.parametrize("name", RUNS)
def test_a_run_is_resumed_verified_and_cut(train: Train, tmp_path: Path, name: str) -> None:
    arch, text = RUNS[name]
    flags = [*text.split(), "--prune-sparsity", "0.5"]
    straight = train(tmp_path / "straight", "--max-update", 6, *flags, arch=arch)
    train(tmp_path / "cut", "--max-update", 6, *flags, arch=arch, cut=3)
    resumed = train(tmp_path / "cut", "--max-update", 6, *flags, arch=arch)
    assert differences(trained(straight), trained(resumed)) == []
    last = str(tmp_path / "straight" / "checkpoint_last.pt")
    assert main(["verify", last]) == 0
    cut = plan(open_checkpoint(last))
    gone = [left < units for units, left in cut.counts.values()]
    assert any(gone)
    if "uniform" in text:
        kinds = text.split("--prune-structure ")[1].split()[0].split("+")
        expected = {
            axis.name: axis.units // 2 if axis.kind in kinds else axis.units for axis in cut.axes
        }
        assert {name: left for name, (_, left) in cut.counts.items()} == expected


def settings(content: dict[str, Any]) -> Any:
    return content["cfg"]["model"]


@pytest.mark.parametrize("structure", ["ffn", "heads"])
def test_a_smaller_model_is_trained_further(train: Train, tmp_path: Path, structure: str) -> None:
    flags = ["--prune-scheme", "class-uniform", "--prune-structure", structure]
    train(
        tmp_path / "pruned", "--max-update", 2, *flags, "--prune-sparsity", "0.5",
        arch="transformer",
    )  # fmt: skip
    cut = plan(open_checkpoint(str(tmp_path / "pruned" / "checkpoint_last.pt")))
    assert cut.settings.arch == (None if structure == "ffn" else "shrunk_transformer")
    from fairseq_prune.checkpoints import storage

    small = tmp_path / "small.pt"
    from fairseq_prune.tasks.command_line import training_flags

    storage.save(shrink(cut), small)
    arch = training_flags(storage.load(small))
    further = train(
        tmp_path / "further", "--max-update", 4, "--finetune-from-model", small, *arch,
        arch="transformer",
    )  # fmt: skip
    if structure == "heads":  # one is left of two
        assert further["model"]["encoder.layers.0.self_attn.q_proj.weight"].shape == (8, 16)
        assert settings(further).arch == "shrunk_transformer"
        return
    assert further["model"]["encoder.layers.0.fc1.weight"].shape == (16, 16)
    # and pruned again, half of what is left
    train(
        tmp_path / "again", "--max-update", 2, "--finetune-from-model", small, *arch, *flags,
        "--prune-sparsity", "0.5", arch="transformer",
    )  # fmt: skip
    assert main(["verify", str(tmp_path / "again" / "checkpoint_last.pt")]) == 0
    left = plan(open_checkpoint(str(tmp_path / "again" / "checkpoint_last.pt"))).counts
    assert left["encoder.layers.0.ffn"] == (16, 8)


def test_units_that_are_not_there_are_refused_before_training(train: Train, tmp_path: Path) -> None:
    flags = ["--prune-scheme", "class-uniform", "--prune-structure", "heads"]
    with pytest.raises(SystemExit, match="heads finds no units in this model; it has: hidden"):
        train(tmp_path, "--max-update", 1, *flags)
    assert not (tmp_path / "checkpoint_last.pt").exists()


def left(path: Path) -> dict[str, int]:
    """By axis of units, how many are left."""
    opened = open_checkpoint(str(path))
    assert opened.record is not None and opened.masks is not None
    counts = groups_in(opened, opened.record.recipe).count(opened.masks)
    return {name: total - gone for name, (total, gone) in counts.items()}


def test_no_attention_loses_all_its_heads(train: Train, tmp_path: Path) -> None:
    flags = [
        "--prune-scheme",
        "class-uniform",
        "--prune-structure",
        "heads",
        "--prune-sparsity",
        0.9,
    ]
    train(tmp_path, "--max-update", 1, *flags, "--prune-keep-at-least", 1, arch="transformer")
    path = tmp_path / "checkpoint_last.pt"
    assert left(path) and set(left(path).values()) == {1}
    assert main(["verify", str(path)]) == 0


@pytest.mark.parametrize("scheme", ["class-blind", "class-uniform"])
def test_what_is_left_of_each_layer_is_a_multiple(
    scheme: str, train: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flags = ["--prune-scheme", scheme, "--prune-structure", "ffn", "--prune-sparsity", 0.4]
    train(tmp_path, "--max-update", 1, *flags, "--prune-multiple", 8, arch="transformer")
    path = tmp_path / "checkpoint_last.pt"
    assert left(path) and all(count % 8 == 0 and count > 0 for count in left(path).values())
    if scheme == "class-uniform":  # 19 of 32 are nearer to 16 than to 24
        assert set(left(path).values()) == {16}
        assert (
            "50.00% of 128 units (ffn) are removed, more than the 40.00% asked: what is left was "
            "made multiples of 8"
        ) in caplog.text
    assert main(["verify", str(path)]) == 0
