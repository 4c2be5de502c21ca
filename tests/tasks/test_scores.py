"""The best checkpoint of a run is the best at the sparsity that was asked for, and no other."""

import logging
from pathlib import Path
from typing import Any

import pytest

from fairseq_prune.checkpoints import storage
from fairseq_prune.checkpoints.record import read_record
from tests.conftest import Train, differences

HALF = ["--prune-scheme", "class-blind", "--prune-sparsity", 0.8]
GRADUAL = [*HALF, "--prune-schedule", "gradual", "--prune-end", 5, "--prune-every", 1]
GROWING = ["--criterion", "label_smoothed_cross_entropy_growing", *HALF, "--prune-start", 5]
LASSO = ["--criterion", "label_smoothed_cross_entropy_group_lasso", *HALF, "--prune-start", 5,
         "--prune-structure", "row"]  # fmt: skip
# validated after every update; the learning rate is zero, so that no score gets better by training
EACH = ["--lr", 0, "--save-interval-updates", 1, "--max-update", 8]


def share(path: Path) -> float:
    """What is removed of a checkpoint."""
    masks = storage.masks_of(storage.load(path), path)
    return 0.0 if masks is None else masks.sparsity()


def updates(path: Path) -> int:
    return int(storage.load(path)["optimizer_history"][-1]["num_updates"])


SCHEDULES = {
    "gradual": GRADUAL,
    "gradual-threshold": [*HALF, "--prune-schedule", "gradual-threshold", "--prune-end", 5,
                          "--prune-every", 2],
    "one-shot in the middle": [*HALF, "--prune-start", 5],
    "growing": GROWING,
    "group lasso": LASSO,
}  # fmt: skip


@pytest.mark.parametrize("flags", SCHEDULES.values(), ids=SCHEDULES)
def test_the_best_checkpoints_have_the_sparsity_that_was_asked_for(
    train: Train, tmp_path: Path, flags: list[Any]
) -> None:
    train(tmp_path, *EACH, *flags, "--keep-best-checkpoints", 2)
    best = [*tmp_path.glob("checkpoint_best.pt"), *tmp_path.glob("checkpoint.best_*.pt")]
    assert len(best) == 3
    last = share(tmp_path / "checkpoint_last.pt")
    for path in best:
        assert updates(path) >= 5
        assert share(path) == last
        if "row" not in flags:  # rows are not all of one size
            assert share(path) == pytest.approx(0.8, abs=1e-3)


def test_exchanges_leave_the_sparsity_and_the_scores(train: Train, tmp_path: Path) -> None:
    flags = ["--prune-scheme", "erk", "--prune-saliency", "random", "--prune-schedule", "set",
             "--prune-end", 7, "--prune-every", 2]  # fmt: skip
    train(tmp_path, "--lr", 1e-9, "--save-interval-updates", 1, "--max-update", 8, *flags)
    first = storage.load(tmp_path / "checkpoint_1_1.pt")["extra_state"]["val_loss"]
    assert first is not None
    best = storage.load(tmp_path / "checkpoint_last.pt")["extra_state"]["best"]
    assert best <= first


def test_patience_waits_for_the_end_of_the_schedule(train: Train, tmp_path: Path) -> None:
    last = train(tmp_path, *EACH[:-1], 20, *GRADUAL, "--patience", 2)
    # at update 5 the first score that counts, at 6 and 7 no better ones
    assert last["optimizer_history"][-1]["num_updates"] == 7
    assert share(tmp_path / "checkpoint_last.pt") == pytest.approx(0.8, abs=1e-3)


def test_a_plateau_of_the_learning_rate_begins_anew(train: Train, tmp_path: Path) -> None:
    """Scores of the dense model are out of reach: every epoch would be a bad one."""
    rate = 1e-9
    flags = ["--lr-scheduler", "reduce_lr_on_plateau", "--lr", rate, "--lr-patience", 1,
             "--lr-shrink", 0.5, "--lr-threshold", 0, "--max-tokens", 4000]  # fmt: skip
    dense = train(tmp_path, *flags, "--max-epoch", 2)
    flags += ["--restore-file", tmp_path / "checkpoint_last.pt", *HALF]
    last = train(tmp_path, *flags, "--max-epoch", 5)
    best = [c["optimizer_history"][-1]["lr_scheduler_state"]["best"] for c in (dense, last)]
    assert best[0] < best[1] - 1e-4  # as it has forgotten the dense one
    assert abs(best[1] - last["extra_state"]["val_loss"]) < 1e-4


def test_a_dense_run_that_is_named_is_pruned_where_it_stands(
    train: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    train(tmp_path, "--max-update", 3, "--lr", 0, "--keep-best-checkpoints", 1)
    dense = (tmp_path / "checkpoint_best.pt").read_bytes()
    train(tmp_path, *EACH[:-1], 5, *HALF, "--restore-file", tmp_path / "checkpoint_last.pt",
          "--keep-best-checkpoints", 1)  # fmt: skip
    assert "pruned at update 3 (the schedule has it at 0) to 0.8" in caplog.text
    assert (tmp_path / "earlier.checkpoint_best.pt").read_bytes() == dense
    assert len(list(tmp_path.glob("earlier.checkpoint.best_*.pt"))) == 1
    for pattern in ("checkpoint_best.pt", "checkpoint.best_*.pt"):
        (path,) = tmp_path.glob(pattern)
        assert share(path) == pytest.approx(0.8, abs=1e-3)


def test_prune_flags_do_not_go_on_with_a_dense_run_unasked(train: Train, tmp_path: Path) -> None:
    train(tmp_path, "--max-update", 2)
    files = {path: path.read_bytes() for path in tmp_path.glob("*.pt")}
    for more in ([], ["--finetune-from-model", "dense.pt"], ["--max-update", 9]):
        with pytest.raises(SystemExit) as end:
            train(tmp_path, "--max-update", 2, *HALF, *more)
        model = more[1] if "dense.pt" in more else tmp_path / "checkpoint_best.pt"
        assert str(end.value) == (
            f"fairseq_prune: --save-dir {tmp_path} has a run without pruning "
            f"({tmp_path}/checkpoint_last.pt), which fairseq would go on with. To prune a trained "
            "model and retrain it, give the new run a folder of its own: --save-dir ANOTHER "
            f"--finetune-from-model {model}. To prune that very run where it stands, name it: "
            f"--restore-file {tmp_path}/checkpoint_last.pt."
        )
    assert {path: path.read_bytes() for path in tmp_path.glob("*.pt")} == files


def test_masks_of_another_do_not_go_on_with_a_dense_run_either(
    train: Train, tmp_path: Path
) -> None:
    train(tmp_path / "pruned", "--max-update", 1, *HALF)
    train(tmp_path / "dense", "--max-update", 1)
    masks = ["--prune-mask-from", tmp_path / "pruned" / "checkpoint_last.pt"]
    with pytest.raises(SystemExit, match="has a run without pruning"):
        train(tmp_path / "dense", "--max-update", 2, *masks)


def test_the_model_to_begin_with_is_not_written_over(train: Train, tmp_path: Path) -> None:
    train(tmp_path, "--max-update", 1)
    (tmp_path / "checkpoint_last.pt").unlink()
    dense = tmp_path / "checkpoint_best.pt"
    before = dense.read_bytes()
    with pytest.raises(SystemExit, match="where this run would write over it: give another"):
        train(tmp_path, "--max-update", 1, *HALF, "--finetune-from-model", dense)
    assert dense.read_bytes() == before


def test_a_run_of_another_model_is_not_gone_on_with(train: Train, tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("other", 2)):
        train(tmp_path / name, "--max-update", 1, "--seed", seed)
    one, other = (tmp_path / name / "checkpoint_last.pt" for name in ("one", "other"))
    run = [tmp_path / "run", *HALF]
    train(*run, "--max-update", 1, "--finetune-from-model", one)
    before = (tmp_path / "run" / "checkpoint_last.pt").read_bytes()
    with pytest.raises(SystemExit) as end:
        train(*run, "--max-update", 2, "--finetune-from-model", other)
    assert "began with another model (checkpoint_last.pt, as it was then) than " in str(end.value)
    assert (tmp_path / "run" / "checkpoint_last.pt").read_bytes() == before
    train(*run, "--max-update", 2, "--finetune-from-model", one)
    # retraining a pruned model without more flags is the same
    pruned = tmp_path / "run" / "checkpoint_last.pt"
    again = [tmp_path / "again", "--finetune-from-model"]
    train(*again, pruned, "--max-update", 1)
    train(*again, pruned, "--max-update", 2)
    with pytest.raises(SystemExit, match="began with another model"):
        train(*again, one, "--max-update", 3)


def test_other_flags_begin_their_scores_anew(train: Train, tmp_path: Path) -> None:
    train(tmp_path, "--max-update", 2, "--lr", 0, "--prune-scheme", "class-blind",
          "--prune-sparsity", 0.3)  # fmt: skip
    train(tmp_path, *EACH[:-1], 4, *HALF, "--prune-override")
    assert share(tmp_path / "earlier.checkpoint_best.pt") == pytest.approx(0.3, abs=1e-3)
    assert share(tmp_path / "checkpoint_best.pt") == pytest.approx(0.8, abs=1e-3)


def test_a_cut_run_chooses_as_a_straight_one(train: Train, tmp_path: Path) -> None:
    flags = ["--save-interval-updates", 1, "--lr", 0.003, *GRADUAL]
    train(tmp_path / "straight", *flags, "--max-update", 9)
    for most in (3, 5, 7, 9):
        train(tmp_path / "cut", *flags, "--max-update", most)
    best = [storage.load(tmp_path / run / "checkpoint_best.pt") for run in ("straight", "cut")]
    assert differences(*({**b["model"]} for b in best)) == []
    assert best[0]["extra_state"]["best"] == best[1]["extra_state"]["best"]


# --------------------------------------------------------------- a schedule that is too long
def test_a_run_that_ends_before_it_prunes_is_refused(train: Train, tmp_path: Path) -> None:
    sentence = (
        "fairseq_prune: --prune-start 13 lies beyond the end of the run, update {}: nothing would "
        "be pruned. Give an earlier one, or train longer (--max-update, --max-epoch)."
    )
    with pytest.raises(SystemExit) as end:
        train(tmp_path, "--max-update", 12, *HALF, "--prune-start", 13)
    assert str(end.value) == sentence.format(12)
    with pytest.raises(SystemExit) as end:
        train(tmp_path, "--max-epoch", 1, "--max-tokens", 4000, *HALF, "--prune-start", 13)
    assert str(end.value) == sentence.format(1)
    assert not list(tmp_path.glob("*.pt"))


@pytest.mark.parametrize("end", [["--max-update", 4], ["--max-epoch", 2, "--max-tokens", 500]])
def test_a_run_that_ends_before_its_schedule_says_so_first(
    train: Train, tmp_path: Path, end: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    flags = [*HALF, "--prune-schedule", "gradual-linear", "--prune-end", 80, "--prune-every", 2]
    last = train(tmp_path, *end, *flags)
    updates = last["optimizer_history"][-1]["num_updates"]
    due = updates // 2 * 2
    assert (
        f"this run ends at update {updates}, before --prune-end 80: {due:.2f}% will be removed, "
        "not the 80.00% asked, and no checkpoint_best.pt is written"
    ) in caplog.text
    assert round(100 * share(tmp_path / "checkpoint_last.pt"), 1) == due
    assert not (tmp_path / "checkpoint_best.pt").exists()
    record = read_record(last, "")
    assert record is not None and not record.is_final


def test_a_run_that_is_long_enough_says_nothing(
    train: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(tmp_path, "--max-update", 5, *GRADUAL)
    assert "this run ends" not in caplog.text
