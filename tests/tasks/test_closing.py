"""The last line of a run says of each checkpoint how much is removed."""

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import LSTM, ROOT, TRAINING, run, torchrun

PRUNE = "--prune-scheme class-blind --prune-sparsity 0.8 --save-interval-updates 2".split()


def lines(corpus: Path, folder: Path, *flags: Any, start: Any = ("fairseq-train",)) -> list[str]:
    """What a run says at its end, without the time."""
    flags = (*LSTM, *TRAINING, "--save-dir", folder, *flags)
    text = run(*start, corpus, *flags, "--user-dir", ROOT / "fairseq_prune")
    return [line.partition(" | ")[2] for line in text.splitlines()]


def test_each_checkpoint_has_its_share(corpus: Path, tmp_path: Path) -> None:
    said = lines(corpus, tmp_path, *PRUNE, "--prune-start", 3, "--max-update", 4)
    counts = "80.00% (15,334 of 19,168 prunable weights)"
    whole = "checkpoint_1_4.pt, checkpoint_best.pt, checkpoint_last.pt"
    assert said[-1] == (
        f"INFO | fairseq_prune | removed: 0.00% (not pruned): checkpoint_1_2.pt; {counts}: {whole}"
    )
    assert any("scores count from the update on at which the sparsity is reached (3)" in line
               for line in said)  # fmt: skip


def test_a_dense_run_says_nothing(corpus: Path, tmp_path: Path) -> None:
    said = lines(corpus, tmp_path, "--max-update", 1)
    assert "done training" in said[-1]


@pytest.mark.slow
def test_an_unfinished_schedule_is_said_again(corpus: Path, tmp_path: Path) -> None:
    flags = ["--prune-schedule", "gradual-linear", "--prune-end", 8, "--prune-every", 2]
    said = lines(corpus, tmp_path, *PRUNE, *flags, "--max-update", 5)
    half = "40.00% (7,667 of 19,168 prunable weights)"
    assert said[-2] == (
        f"WARNING | fairseq_prune | the run has ended before its pruning: {half} removed, not "
        "80.00%, which the schedule has at update 8. No checkpoint_best.pt was written. The same "
        "command with a later end (--max-update, --max-epoch) goes on."
    )
    shares = "20.00% (3,834 of 19,168 prunable weights): checkpoint_1_2.pt"
    assert said[-1].endswith(f"{shares}; {half}: checkpoint_1_4.pt, checkpoint_last.pt")


@pytest.mark.slow
def test_one_of_two_ranks_says_it(corpus: Path, tmp_path: Path) -> None:
    backend = ["--distributed-backend", "gloo", "--ddp-backend", "legacy_ddp"]
    said = lines(corpus, tmp_path, *PRUNE, "--max-update", 2, *backend, start=torchrun(2))
    assert sum("| removed: 80.00%" in line for line in said) == 1
