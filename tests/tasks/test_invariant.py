"""A run whose pruned weights do not stay at zero ends, and saves nothing of it."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from fairseq_prune.tasks._averages import Averages
from fairseq_prune.tasks._hooks import PruningHooks
from fairseq_prune.tasks._optimizer import state_of
from tests.conftest import Train, differences, read, trained

PRUNE = ["--prune-scheme", "class-blind", "--prune-sparsity", 0.6]
FLAGS = ["--max-update", 4, "--save-interval-updates", 2, *PRUNE]


def spoil(monkeypatch: pytest.MonkeyPatch, write: Callable[[Any, Any], None]) -> None:
    """After its last optimizer step, something writes what it should not."""
    original = PruningHooks.optimizer_step

    def optimizer_step(self: Any, optimizer: Any, model: Any, update_num: int) -> None:
        original(self, optimizer, model, update_num)
        if update_num == 3:
            write(self.session, optimizer)

    monkeypatch.setattr(PruningHooks, "optimizer_step", optimizer_step)


def gone(session: Any) -> tuple[str, torch.Tensor, torch.Tensor]:
    """A weight that is pruned in part: name, parameter, where it is pruned."""
    name = next(n for n, count in session.holder.removed().items() if count)
    return name, session.weights[name].tensor, ~session.holder.masks()[name]


def stopped(train: Train, folder: Path, *flags: Any) -> str:
    with pytest.raises(SystemExit) as end:
        train(folder, *FLAGS, *flags)
    saved = [read(path)["optimizer_history"][-1]["num_updates"] for path in folder.glob("*.pt")]
    assert set(saved) == {2}
    return str(end.value)


NO_VALIDATION = ["--disable-validation"]  # so that saving looks first


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param([], id="validation"),
        pytest.param(NO_VALIDATION, id="save", marks=pytest.mark.slow),
    ],
)
def test_a_weight_that_comes_back_ends_the_run(
    flags: list[str], train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []

    def write(session: Any, optimizer: Any) -> None:
        name, weight, pruned = gone(session)
        said.append(name)
        place = pruned.nonzero()[-1].tolist()
        with torch.no_grad():
            weight[tuple(place)] = float("nan")

    spoil(monkeypatch, write)
    sentence = stopped(train, tmp_path, *flags)
    assert sentence.startswith("fairseq_prune: ") and "\n" not in sentence
    assert f"1 pruned weights of {said[0]} are not zero in the model after update 4: " in sentence


def test_a_moment_that_comes_back_ends_the_run(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(session: Any, optimizer: Any) -> None:
        _, weight, pruned = gone(session)
        state_of(optimizer)[weight]["exp_avg"][pruned] = 1.0

    spoil(monkeypatch, write)
    assert "exp_avg of " in stopped(train, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("flags", [["--store-ema"], ["--store-ema", "--ema-fp32"]])
def test_an_average_that_comes_back_ends_the_run(
    flags: list[str], train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Averages.states

    def states(self: Averages) -> Iterator[Mapping[str, Any]]:
        found = list(original(self))
        if sessions:
            name, _, pruned = gone(sessions[0])
            found[-1][name][pruned] = 1.0
        return iter(found)

    sessions: list[Any] = []
    spoil(monkeypatch, lambda session, _: sessions.append(session))
    monkeypatch.setattr(Averages, "states", states)
    assert "in the moving average after update 4" in stopped(train, tmp_path, *flags)


def test_a_class_whose_count_changes_ends_the_run(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(session: Any, optimizer: Any) -> None:
        name, _, pruned = gone(session)
        place = tuple(pruned.nonzero()[0].tolist())
        session.holder._keep[name][place] = -1

    spoil(monkeypatch, write)
    sentence = stopped(train, tmp_path)
    assert "are held at zero after update 4, but " in sentence


@pytest.mark.slow
def test_looking_changes_nothing(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = [*FLAGS, "--store-ema", "--validate-interval-updates", 1]
    looked = train(tmp_path / "looked", *flags)
    for name in ("check_weights", "check_copies"):
        monkeypatch.setattr(f"fairseq_prune.tasks._held.{name}", lambda *_: None)
    plain = train(tmp_path / "plain", *flags)
    assert differences(trained(looked), trained(plain)) == []


HONEST = {
    "an average updated now and then": "--store-ema --ema-update-freq 3 --prune-start 2",
    "moving masks": "--prune-schedule set --prune-end 4 --prune-every 1 --optimizer adafactor",
    "momentum": "--optimizer sgd --momentum 0.9 --prune-start 2",
    "a rising sparsity": "--prune-schedule gradual --prune-end 4 --prune-every 1",
}


@pytest.mark.slow
@pytest.mark.parametrize("flags", HONEST.values(), ids=HONEST)
def test_an_honest_run_is_left_alone(flags: str, train: Train, tmp_path: Path) -> None:
    train(tmp_path, *FLAGS, "--validate-interval-updates", 1, *flags.split())
    again = train(tmp_path, *FLAGS, *flags.split(), "--max-update", 6)
    assert again["optimizer_history"][-1]["num_updates"] == 6
