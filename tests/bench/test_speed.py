"""Speeds: engines take turns, and what is said of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairseq_prune.bench.engines import Batches
from fairseq_prune.bench.speed import Setting, Speed, batches_of, measure


class Counted:
    """An engine that takes a given time for a sentence, on a clock of its own."""

    def __init__(self, clock: list[float], seconds: float, log: list[str], name: str) -> None:
        self.clock, self.seconds, self.log, self.name = clock, seconds, log, name

    def translate(self, batches: Batches, beam: int) -> int:
        count = sum(map(len, batches))
        self.clock[0] += count * self.seconds * beam
        self.log.append(f"{self.name} {count}")
        return 10 * count


def test_engines_take_turns_and_are_compared_in_the_same_round() -> None:
    clock, log = [0.0], list[str]()
    engines = {
        "slow": Counted(clock, 0.5, log, "slow"),
        "fast": Counted(clock, 0.25, log, "fast"),
    }
    (speeds,) = measure(engines, [3, 1, 2], [Setting(1, 2)], 2, lambda: clock[0])
    slow, fast = speeds
    assert (slow.rates, fast.rates) == ([20.0, 20.0], [40.0, 40.0])
    assert fast.ratios == [2.0, 2.0]
    assert (slow.times, fast.times) == ([500.0, 500.0], [250.0, 250.0])
    # a batch each before the clock runs, then all in turn
    assert log == ["slow 2", "fast 2", "slow 3", "fast 3", "slow 3", "fast 3"]
    assert (slow.gain, fast.gain) == ("1, the first", "2.00x (2.00 to 2.00)")


def test_each_is_compared_with_another_of_its_engine_in_the_same_round() -> None:
    clock, log = [0.0], list[str]()
    seconds = {"a: x": 1.0, "a: y": 0.25, "b: x": 0.5, "b: y": 0.5, "c: z": 1.0}
    engines = {name: Counted(clock, each, log, name) for name, each in seconds.items()}
    against = {"a: x": "a: x", "b: x": "a: x", "a: y": "a: y", "b: y": "a: y"}
    (speeds,) = measure(engines, [1], [Setting(1, 1)], 2, lambda: clock[0], against)
    found = {speed.engine: speed for speed in speeds}
    assert found["b: x"].against_ratios == [2.0, 2.0]
    assert found["b: y"].against_gain == "0.50x (0.50 to 0.50), no speed gain"
    assert found["b: y"].ratios == [2.0, 2.0]  # to the first of all
    assert found["a: y"].against_gain == "1, itself"
    assert (found["c: z"].against_gain, found["c: z"].as_dict()["against"]) == ("-", None)


def test_one_round_that_is_no_faster_leaves_it_open() -> None:
    speed = Speed("e", Setting(5, 1), [1.0, 3.0, 2.0], [3.0, 1.0, 2.0], [1.5, 1.0, 1.2])
    assert speed.rate == 2.0
    assert speed.gain == "1.20x (1.00 to 1.50), not faster in every round: measure again"
    said = speed.as_dict()
    assert (said["ratio"], said["ms_per_sentence"]) == (1.2, 2.0)


@pytest.mark.parametrize(
    ("ratios", "said"),
    [
        ([0.9, 1.65, 2.64], "1.65x (0.90 to 2.64), not faster in every round: measure again"),
        ([0.9, 1.0, 2.64], "1.00x (0.90 to 2.64), no speed gain"),
        ([1.01, 1.05, 1.1], "1.05x (1.01 to 1.10)"),
    ],
)
def test_the_median_says_whether_there_is_a_gain(ratios: list[float], said: str) -> None:
    speed = Speed("e", Setting(5, 1), ratios=ratios, against="f", against_ratios=ratios)
    assert (speed.gain, speed.against_gain) == (said, said)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(1, 9))
def test_every_sentence_is_in_one_batch_with_others_like_it(lengths: list[int], size: int) -> None:
    batches = batches_of(lengths, size)
    assert sorted(n for batch in batches for n in batch) == list(range(len(lengths)))
    assert all(len(batch) == size for batch in batches[:-1])
    inside = [[lengths[n] for n in batch] for batch in batches]
    assert sum(inside, []) == sorted(lengths)
