"""Speeds: engines take turns, and what is said of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairseq_prune.bench.batches import Batch, Lengths, Work, batches_of
from fairseq_prune.bench.speed import Setting, Speed, measure
from fairseq_prune.evaluation.settings import Settings


class Counted:
    """An engine that takes a given time for a sentence, on a clock of its own."""

    def __init__(self, clock: list[float], seconds: float, log: list[str], name: str) -> None:
        self.clock, self.seconds, self.log, self.name = clock, seconds, log, name

    def translate(self, batch: Batch, beam: int) -> int:
        count = len(batch.numbers)
        self.clock[0] += count * self.seconds * beam
        self.log.append(f"{self.name} {count}")
        return 10 * count


def work(setting: Setting, *sizes: int) -> dict[Setting, list[Batch]]:
    """Batches of these sizes in one setting."""
    return {setting: [Batch(range(size)) for size in sizes]}


def test_engines_take_turns_and_are_compared_in_the_same_round() -> None:
    clock, log = [0.0], list[str]()
    engines = {
        "slow": Counted(clock, 0.5, log, "slow"),
        "fast": Counted(clock, 0.25, log, "fast"),
    }
    (speeds,) = measure(engines, work(Setting(1, 2), 2, 1), 2, lambda: clock[0])
    slow, fast = speeds
    assert (slow.rates, fast.rates) == ([20.0, 20.0], [40.0, 40.0])
    assert fast.ratios == [2.0, 2.0]
    assert (slow.times, fast.times) == ([500.0, 500.0], [250.0, 250.0])
    # a batch each before the clock runs, then all in turn
    turn = ["slow 2", "slow 1", "fast 2", "fast 1"]
    assert log == ["slow 2", "fast 2", *turn, *turn]
    assert (slow.gain, fast.gain) == ("1, itself", "2.00x (2.00 to 2.00)")


def test_all_are_compared_with_one_that_need_not_be_the_first() -> None:
    clock, log = [0.0], list[str]()
    engines = {name: Counted(clock, s, log, name) for name, s in (("a", 0.5), ("b", 0.25))}
    (speeds,) = measure(engines, work(Setting(1, 1), 1), 1, lambda: clock[0], base="b")
    assert [speed.ratios for speed in speeds] == [[0.5], [1.0]]


class Given(Counted):
    """An engine that takes given seconds for one batch after the other."""

    def translate(self, batch: Batch, beam: int) -> int:
        self.clock[0] += self.taken.pop(0)
        return 5 * len(batch.numbers)

    taken: list[float]


def test_times_are_of_each_batch_by_its_sentences_the_median_of_its_rounds() -> None:
    clock = [0.0]
    engine = Given(clock, 0.0, [], "e")
    # one to warm up, then three rounds of three batches: 2, 2 and 1 sentences
    engine.taken = [9.0, 0.2, 0.4, 0.5, 0.2, 8.0, 0.5, 0.6, 0.4, 0.7]
    (speeds,) = measure({"e": engine}, work(Setting(1, 2), 2, 2, 1), 3, lambda: clock[0])
    (speed,) = speeds
    assert speed.each == pytest.approx([100.0, 200.0, 500.0])
    said = speed.as_dict()
    assert said["ms_median"] == pytest.approx(200.0)
    assert said["ms_95"] == pytest.approx(470.0)  # 0.9 of the way from the second to the third
    assert (said["batches"], said["tokens"]) == (3, 25)
    assert said["tokens_per_second"] == pytest.approx(25 / 1.7)


def test_each_is_compared_with_another_of_its_engine_in_the_same_round() -> None:
    clock, log = [0.0], list[str]()
    seconds = {"a: x": 1.0, "a: y": 0.25, "b: x": 0.5, "b: y": 0.5, "c: z": 1.0}
    engines = {name: Counted(clock, each, log, name) for name, each in seconds.items()}
    against = {"a: x": "a: x", "b: x": "a: x", "a: y": "a: y", "b: y": "a: y"}
    (speeds,) = measure(engines, work(Setting(1, 1), 1), 2, lambda: clock[0], against)
    found = {speed.engine: speed for speed in speeds}
    assert found["b: x"].against_ratios == [2.0, 2.0]
    assert found["b: y"].against_gain == "0.50x (0.50 to 0.50), no speed gain"
    assert found["b: y"].ratios == [2.0, 2.0]  # to the first of all
    assert found["a: y"].against_gain == "1, itself"
    assert (found["c: z"].against_gain, found["c: z"].as_dict()["against"]) == ("-", None)


def test_one_round_that_is_no_faster_leaves_it_open() -> None:
    speed = Speed("e", Setting(5, 1), [1.0, 3.0, 2.0], [3.0, 1.0, 2.0], [1.5, 1.0, 1.2],
                  of_batches=[[3.0], [1.0], [2.0]])  # fmt: skip
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
        ([1.01, 1.02, 1.1], "1.02x (1.01 to 1.10), no speed gain"),  # two copies differ so
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


TOKENS = st.tuples(st.integers(1, 50), st.integers(1, 50))


@given(st.lists(TOKENS, min_size=1, max_size=40), st.integers(1, 9))
def test_forced_batches_have_as_many_tokens_as_their_references(
    tokens: list[tuple[int, int]], size: int
) -> None:
    source, target = map(list, zip(*tokens, strict=True))
    work = Work(Settings(data=""), len(tokens), True, 5, size, 1)
    batches = work.batches(Lengths(source, target), 1024)
    assert [batch.numbers for batch in batches] == batches_of(source, size)
    for batch in batches:
        assert batch.steps is not None
        wanted = sum(target[number] for number in batch.numbers)
        assert 0 <= batch.steps * len(batch.numbers) - wanted < len(batch.numbers)


def test_no_batch_is_forced_beyond_what_a_translation_can_have() -> None:
    lengths, limits = Lengths([10, 10], [300, 2]), Settings(data="", max_len_a=2, max_len_b=30)

    def steps(settings: Settings, most: int, lengths: Lengths = lengths) -> list[int | None]:
        work = Work(settings, 2, True, 5, 1, 1)
        return [batch.steps for batch in work.batches(lengths, most)]

    assert steps(Settings(data=""), 1024) == [201, 2]  # 200 and the end
    assert steps(Settings(data=""), 100) == [100, 2]  # a model of 100 positions
    assert steps(limits, 1024) == [51, 2]
    assert steps(limits, 1024, Lengths([10, 10])) == [None, None]  # there are no references
