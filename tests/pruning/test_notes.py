"""What is noted of a pruning: stored as plain values, and read back as it was or refused."""

from typing import Any

import pytest

from fairseq_prune.pruning.notes import Notes


def test_notes_come_back_as_they_went() -> None:
    notes = Notes(
        lambda_=1.5, sigma={"a": 0.1}, before={"a": 3}, unseen={"w": 2},
        unseen_gone={"w": [0.5, 1]}, unseen_order="first", ticket={"round": 1},
        more={"mine": {"x": [1, None]}},
    )  # fmt: skip
    packed = notes.pack()
    assert packed["lambda"] == 1.5 and packed["mine"] == {"x": [1, None]}
    assert Notes.unpack(packed) == notes
    assert Notes().pack() == {} and Notes.unpack({}) == Notes()


@pytest.mark.parametrize(
    "packed",
    [[1], {"lambda": "much"}, {"sigma": 1.0}, {"before": {"a": 0.5}}, {"unseen_gone": {"a": 1}},
     {"cuts": {"a": float("nan")}}, {"later": b"x"}, {1: 2}, {"control": 3}],
)  # fmt: skip
def test_notes_that_cannot_be_are_refused(packed: Any) -> None:
    with pytest.raises(ValueError, match="note"):
        Notes.unpack(packed)
