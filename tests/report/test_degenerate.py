"""What counts as a degenerate output."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairseq_prune.evaluation.sentences import Sentence
from fairseq_prune.report.degenerate import Faults, Judge, flags, loops
from fairseq_prune.report.outputs import Reference
from fairseq_prune.report.points import Point


def judge(*pairs: tuple[str, str]) -> Judge:
    return Judge(Reference("r", [Sentence(s, r, 1, 1) for s, r in pairs], "d"))


@pytest.mark.parametrize(
    "text, looping",
    [
        ("a a a", False),
        ("a a a a", True),
        ("x a a a a y", True),
        ("a b a b", False),
        ("a b a b a b", True),
        ("a b a b a", False),
        ("a b a c a b a c a b a c", True),
        ("a b c a b d a b e", False),
        (" ".join("abcdefghij" * 3), True),
        (" ".join("abcdefghijk" * 3), False),
        ("", False),
    ],
)
def test_a_loop_is_a_phrase_three_times_or_a_word_four_times(text: str, looping: bool) -> None:
    assert loops(text.split()) == looping


@given(st.lists(st.sampled_from("ab"), max_size=14))
def test_loops_are_those_found_by_looking_at_every_place(words: list[str]) -> None:
    def here(start: int, period: int, times: int) -> bool:
        phrase = words[start : start + period]
        return len(phrase) == period and words[start : start + period * times] == phrase * times

    expected = any(
        here(start, period, 4 if period == 1 else 3)
        for start in range(len(words)) for period in range(1, 11)
    )  # fmt: skip
    assert loops(words) == expected


def test_empty_needs_a_reference_and_long_is_more_than_twice_it() -> None:
    found = judge(("s", "a b"), ("s", ""), ("s", "a b")).faults(["", "", "v w x y"])
    assert found == Faults(empty=1 / 3, repeats=0, copied=0, long=0)
    assert judge(("s", "a b")).faults(["v w x y z"]).long == 1


def test_a_loop_of_the_reference_is_no_fault() -> None:
    assert judge(("s", "ha ha ha ha")).faults(["ha ha ha ha"]).repeats == 0
    assert judge(("s", "ha ha")).faults(["ha ha ha ha"]).repeats == 1


def test_a_copy_says_the_sources_words_and_not_the_references() -> None:
    one = judge(("das ist Bach", "that is Bach"))
    assert one.faults(["das ist Bach"]).copied == 1
    assert one.faults(["das is Bach"]).copied == 0  # two words of the reference
    assert judge(("Bach Bonn", "Bach Bonn")).faults(["Bach Bonn"]).copied == 0


def test_a_flag_is_a_share_beyond_the_dense_models(tmp_path: Path) -> None:
    row = {"bleu": 1.0, "sparsity": 0.0}
    dense = Point("m", "dense", None, 0.0, row, "1")
    pruned = [Point("m", "pruned", "class-blind", 50.0, row, seed) for seed in ("1", "2")]
    found = {
        dense.key: Faults(0.1, 0, 0, 0),
        pruned[0].key: Faults(0.15, 0.2, 0, 0),
        pruned[1].key: Faults(0.15, 0.0, 0, 0.04),
    }
    assert flags([dense, *pruned], found) == {pruned[0].place: "repeats"}
