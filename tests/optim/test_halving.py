"""The halving schedule: when it halves, by hand and in real runs that are cut."""

import re
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import Train, differences, trained

DENSE = ("8", "1", 12)  # See et al. (2016): after, every, epochs in all
RETRAINING = ("2", "0.5", 4)


def schedule(after: Any = "8", every: Any = "1", lr: Any = (1.0,)) -> Any:
    """The schedule and an optimizer that remembers what it was told."""
    import fairseq_prune

    fairseq_prune.register()
    from fairseq.optim import FairseqOptimizer

    from fairseq_prune.optim.halving import HalvingLRSchedule

    class Optimizer(FairseqOptimizer):
        def __init__(self) -> None:
            self.rate = -1.0

        def set_lr(self, lr: float) -> None:
            self.rate = lr

        def get_lr(self) -> float:
            return self.rate

    flags = SimpleNamespace(halve_after=after, halve_every=every, lr=list(lr))
    return HalvingLRSchedule(flags, Optimizer())


def rates(made: Any, lengths: list[int], epoch: int = 1, done: int = 0) -> list[list[float]]:
    """The learning rate of each update, by epoch, as fairseq's trainer asks for it."""
    found = []
    made.step_update(done)
    for number, length in enumerate(lengths, start=epoch):
        made.step_begin_epoch(number)
        found.append([])
        for _ in range(length):
            found[-1].append(made.optimizer.get_lr())
            done += 1
            made.step_update(done)
        made.step(number, 1.0)
    return found


def test_the_dense_schedule_of_see_halves_each_epoch_after_the_eighth() -> None:
    after, every, epochs = DENSE
    found = rates(schedule(after, every), [5] * epochs)
    assert [set(epoch) for epoch in found[:8]] == [{1.0}] * 8
    assert [set(epoch) for epoch in found[8:]] == [{0.5}, {0.25}, {0.125}, {0.0625}]


def test_the_retraining_schedule_of_see_halves_each_half_epoch_after_the_second() -> None:
    after, every, epochs = RETRAINING
    found = rates(schedule(after, every, [0.5]), [7] * epochs)
    assert found[:2] == [[0.5] * 7] * 2
    # 3.5 of 7 updates are half an epoch: the fourth is the last before it is over
    assert found[2] == [0.25] * 4 + [0.125] * 3
    assert found[3] == [0.0625] * 4 + [0.03125] * 3


@pytest.mark.parametrize("every", ["1/3", "0.1", "0.7", "2", 0.25])
def test_halvings_are_counted_exactly(every: Any) -> None:
    length = 30
    found = rates(schedule("1.5", every), [length] * 5)
    for update, rate in enumerate(r for epoch in found for r in epoch):
        beyond = Fraction(update, length) - Fraction(3, 2)
        halvings = 0 if beyond < 0 else 1 + beyond // Fraction(str(every))
        assert rate == 0.5**halvings, update


def test_an_epoch_of_another_length_does_not_move_the_next() -> None:
    # --update-freq by epoch, for one: the guess is the last length, and never reaches beyond
    found = rates(schedule("2", "0.5"), [8, 8, 4, 12, 6])
    assert found[2] == [0.5] * 4
    assert found[3] == [0.125] * 2 + [0.0625] * 10
    assert found[4][0] == 0.5**5


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_cut_anywhere_changes_nothing(cut: int) -> None:
    lengths = [10] * 4
    straight = [rate for epoch in rates(schedule("1", "0.3"), lengths) for rate in epoch]
    first, done = schedule("1", "0.3"), 0
    for epoch, length in enumerate(lengths, start=1):
        if done == cut:
            break
        part = min(length, cut - done)
        rates(first, [part], epoch, done)
        done += part
    second = schedule("1", "0.3")
    second.load_state_dict(first.state_dict())
    rest = [min(10, 40 - cut - max(0, 10 * n - cut % 10)) for n in range(4)]
    left = [10 - cut % 10, *([10] * 3)] if cut % 10 else rest
    epoch = cut // 10 + 1
    found = [r for e in rates(second, left[: 5 - epoch], epoch, cut) for r in e]
    assert found == straight[cut:]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"after": "0.5"}, "--halve-after 0.5 is below 1: "),
        ({"after": "0"}, "--halve-after 0 must be a number of epochs above 0"),
        ({"every": "-1"}, "--halve-every -1 must be a number of epochs above 0"),
        ({"every": "1/0"}, "--halve-every 1/0 must be a number of epochs above 0"),
        ({"every": "often"}, "--halve-every often must be a number of epochs above 0"),
        ({"every": "nan"}, "--halve-every nan must be a number of epochs above 0"),
        ({"lr": [1.0, 0.5]}, "--lr [1.0, 0.5] must be one number"),
    ],
)
def test_flags_without_sense_are_refused(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        schedule(**flags)


def test_what_a_stripped_checkpoint_has_not_is_as_at_the_start() -> None:
    made = schedule()
    made.load_state_dict({})
    assert made.state_dict() == schedule().state_dict()


FLAGS = (
    "--optimizer sgd --lr 1 --lr-scheduler halving --halve-after 1 --halve-every 0.3 --batch-size 8"
).split()


def test_a_resumed_run_has_the_same_rates_and_weights(train: Train, tmp_path: Path) -> None:
    # 15 batches are 8 updates; the cut is in the middle of the second epoch
    flags = [*FLAGS, "--update-freq", 2, "--disable-validation", "--prune-scheme", "class-blind"]
    straight = train(tmp_path / "straight", *flags, "--max-update", 14)
    cut = train(tmp_path / "cut", *flags, "--max-update", 10)
    resumed = train(tmp_path / "cut", *flags, "--max-update", 14)
    assert differences(trained(straight), trained(resumed)) == []
    assert straight["optimizer_history"][-1] == resumed["optimizer_history"][-1]
    ends = [c["last_optimizer_state"]["param_groups"][0]["lr"] for c in (cut, resumed)]
    assert ends == [0.5, 0.5**3]  # 0.25 and 0.75 epochs after the first
