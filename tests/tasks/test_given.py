"""Per-class sparsities in real runs: resumed without their file, and the counts verified."""

from pathlib import Path
from typing import Any

import pytest

from fairseq_prune.checkpoints import storage
from fairseq_prune.checkpoints.record import read_record
from fairseq_prune.cli.main import main
from fairseq_prune.pruning.summary import by_class
from tests.conftest import Train, differences, trained


def test_a_gradual_run_is_resumed_and_ends_at_the_shares(train: Train, tmp_path: Path) -> None:
    plan, same = tmp_path / "plan", tmp_path / "same"
    plan.write_text("softmax 0.75\n* 0.5  # all others\n")
    same.write_text("* 0.5\nsoftmax 0.75\n")
    rise = ["--prune-schedule", "gradual", "--prune-end", 3, "--prune-every", 1]
    flags = ["--prune-scheme", "given", *rise, "--prune-given"]
    straight = train(tmp_path / "straight", "--max-update", 4, *flags, plan)
    train(tmp_path / "cut", "--max-update", 2, *flags, plan)
    plan.unlink()
    with pytest.raises(SystemExit, match="--prune-given .* 0.6 .in the file: .* 0.5"):
        train(tmp_path / "cut", "--max-update", 4, *flags, "* 0.6")
    resumed = train(tmp_path / "cut", "--max-update", 4, *flags, same)
    assert differences(trained(straight), trained(resumed)) == []

    last = str(tmp_path / "straight" / "checkpoint_last.pt")
    assert main(["verify", last]) == 0
    record = read_record(storage.load(last), last)
    assert record is not None and record.masks is not None
    for row in by_class(record.masks, record.classes):
        assert row.sparsity == pytest.approx(0.75 if row.name == "softmax" else 0.5, abs=0.005)
    assert record.recipe.resolved.given == "softmax 0.75; * 0.5"
    assert record.recipe.resolved.sparsity == record.masks.sparsity()


def test_units_have_their_axes_as_classes(train: Train, tmp_path: Path) -> None:
    flags = ["--prune-structure", "ffn", "--prune-scheme", "given", "--prune-given"]
    made = train(
        tmp_path / "run", "--max-update", 1, *flags, "target-layer-2.ffn 0.25; * 0.5",
        arch="transformer",
    )  # fmt: skip
    last = str(tmp_path / "run" / "checkpoint_last.pt")
    assert main(["verify", last]) == 0
    gone = {
        name: int((~mask).any(dim=1).sum())
        for name, mask in storage.masks_of(made, last).items()  # type: ignore[union-attr]
        if name.endswith("fc1.weight")
    }
    assert gone == {
        name: 8 if name.startswith("decoder.layers.1") else 16 for name in gone
    } and len(gone) == 4  # fmt: skip


def test_rules_are_looked_at_before_training(train: Train, tmp_path: Path, caplog: Any) -> None:
    rules = tmp_path / "rules"
    prune = ["--prune-scheme", "class-uniform", "--prune-sparsity", "0.5", "--prune-classes", rules]
    rules.write_text("tables embed_tokens\ngates self_attn\n")
    with pytest.raises(SystemExit, match="the rule `gates self_attn` names no weight of this"):
        train(tmp_path / "refused", "--max-update", 1, *prune)
    rules.write_text("tables embed_tokens\n")
    train(tmp_path / "run", "--max-update", 1, *prune)
    (said,) = [r.getMessage() for r in caplog.records if "no rule of" in r.getMessage()]
    assert "they have the paper's classes: source-layer-1 (encoder.lstm.weight_ih_l0, " in said


def test_a_proposal_of_other_classes_is_obeyed(train: Train, tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.write_text("# --prune-classes tensor\ndecoder.embed_tokens.weight 0.5\n* 0.25\n")
    flags = ["--prune-scheme", "given", "--prune-given", given]
    content = train(tmp_path / "run", "--max-update", 1, *flags)
    assert content["task_state"]["prune"]["config"]["classes"] == "tensor"
    with pytest.raises(SystemExit, match="--prune-classes layer contradicts --prune-given"):
        train(tmp_path / "other", "--max-update", 1, *flags, "--prune-classes", "layer")
