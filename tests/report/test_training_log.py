"""Validation losses and prunings out of fairseq's logs."""

from pathlib import Path

import pytest

from fairseq_prune.report.training_log import Log, read_log

WORDS = (
    "2026-11-21 | INFO | valid | epoch 001 | valid on 'valid' subset | loss 2.187 | nll_loss 0.693 "
    "| ppl 1.62 | num_updates 530 | best_loss 2.1\n"
)
JSON = (
    '2026-11-21 | INFO | valid | {"epoch": 1, "valid_loss": "2.187", "valid_nll_loss": "0.693", '
    '"valid_num_updates": "530"}\n'
)
TRAIN = '2026-11-21 | INFO | train | {"train_nll_loss": "9", "train_num_updates": "530"}\n'
PRUNED = "| INFO | fairseq_prune | pruned at update 120 to 0.4512 (asked 0.4512), c\n"


def read(tmp_path: Path, text: str) -> Log:
    path = tmp_path / "train.log"
    path.write_text(text)
    return read_log(path)


@pytest.mark.parametrize("line", [WORDS, JSON])
def test_validations_are_read_in_both_formats(tmp_path: Path, line: str) -> None:
    assert read(tmp_path, TRAIN + line + "noise\n").losses == {530: 0.693}


def test_prunings_and_the_start_are_read(tmp_path: Path) -> None:
    config = "| INFO | {'checkpoint': {'finetune_from_model': %s, 'seed': 1}}\n"
    log = read(tmp_path, config % "'dense.pt'" + PRUNED)
    assert log.prunings == {120: 0.4512} and log.finetuned
    assert not read(tmp_path, config % "None").finetuned


def test_a_run_that_was_resumed_counts_its_last_validation(tmp_path: Path) -> None:
    again = WORDS.replace("nll_loss 0.693", "nll_loss 0.5")
    assert read(tmp_path, WORDS + again).losses == {530: 0.5}


def test_other_validation_sets_and_cut_lines_are_left_out(tmp_path: Path) -> None:
    other = WORDS.replace("| valid |", "| valid1 |").replace("530", "531")
    cut = WORDS[: WORDS.index("0 | best")].replace("53", "x")
    assert read(tmp_path, WORDS + other + cut).losses == {530: 0.693}


def test_a_criterion_without_nll_gives_its_loss(tmp_path: Path) -> None:
    assert read(tmp_path, WORDS.replace("nll_loss 0.693 ", "")).losses == {530: 2.187}


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read_log(tmp_path / "none.log") == Log()
