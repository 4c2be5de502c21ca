"""fairseq's progress line says what is in force when it is printed."""

from pathlib import Path

import pytest

from tests.conftest import Train


def test_the_sparsity_rises_with_a_gradual_schedule(
    train: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    flags = "--prune-scheme class-uniform --prune-sparsity 0.8 --prune-schedule gradual-linear"
    train(tmp_path, "--max-update", 5, *flags.split(), "--prune-end", 4, "--prune-every", 1)
    lines = [r.getMessage() for r in caplog.records if r.name == "train_inner"]
    values = [float(line.partition(" sparsity=")[2].partition(",")[0]) for line in lines]
    assert [round(value) for value in values] == [20, 40, 60, 80, 80]
    assert all(line.count("sparsity") == 1 for line in lines)  # by class: the table of a pruning
