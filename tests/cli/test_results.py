"""What --tag says of each checkpoint."""

import pytest

from fairseq_prune.cli._results import tags_of


def test_one_value_is_of_all_and_several_are_of_each() -> None:
    given = ["model=lstm", "stage=dense,pruned"]
    assert tags_of(given, 2) == [
        {"model": "lstm", "stage": "dense"},
        {"model": "lstm", "stage": "pruned"},
    ]
    # of one checkpoint a comma is a comma
    assert tags_of(given) == [{"model": "lstm", "stage": "dense,pruned"}]
    assert tags_of([], 2) == [{}, {}]


def test_another_number_of_values_is_refused() -> None:
    with pytest.raises(ValueError, match="--tag stage=a,b has 2 values for 3 checkpoints"):
        tags_of(["stage=a,b"], 3)
