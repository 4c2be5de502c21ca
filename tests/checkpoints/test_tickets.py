"""Rounds of pruning, rewinding a checkpoint's content, and the digest of the survivors."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fairseq_prune.checkpoints import storage
from fairseq_prune.checkpoints.apply import apply_recipe
from fairseq_prune.checkpoints.checkpoint import Opened
from fairseq_prune.checkpoints.storage import CheckpointError
from fairseq_prune.checkpoints.tickets import (
    PARAMETERS,
    check_survivors,
    is_over,
    rewound,
    sparsity_of_round,
    survivors,
    updates_of,
)
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.tasks.opening import open_checkpoint
from tests.cli.models import FC, NAMES, QUERY, SHAPES, checkpoint, write
from tests.conftest import audit_of

HALF = Recipe(scheme="class-blind", sparsity=0.5)
ORDER = [[name, SHAPES[name][0] * SHAPES[name][1]] for name in NAMES]


@given(st.floats(0.001, 0.999), st.integers(1, 20))
def test_each_round_removes_the_same_share_of_what_is_left(sparsity: float, rounds: int) -> None:
    left = [1 - sparsity_of_round(sparsity, r, rounds) for r in range(rounds + 1)]
    assert left[0] == 1 and 1 - left[-1] == pytest.approx(sparsity, rel=1e-12)
    share = (1 - sparsity) ** (1 / rounds)
    assert all(b / a == pytest.approx(share) for a, b in zip(left, left[1:], strict=False))


def test_the_last_round_ends_at_the_very_sparsity() -> None:
    assert all(sparsity_of_round(0.8, n, n) == 0.8 for n in range(1, 30))
    assert sparsity_of_round(0.36, 1, 2) == pytest.approx(0.2)


def training(path: Path, seed: int, updates: int, **extra: object) -> Opened:
    """A checkpoint as a run leaves it after so many updates, with moments."""
    content = checkpoint(seed)
    content["cfg"]["optimization"] = {"max_update": 9}
    content["optimizer_history"][-1].update(num_updates=updates, lr_scheduler_state={"best": seed})
    content["last_optimizer_state"] = {
        "state": {i: {"step": updates, "exp_avg": torch.ones(SHAPES[n]) * seed}
                  for i, n in enumerate(NAMES)},
        "param_groups": [{"params": list(range(len(NAMES))), "lr": seed / 10}],
    }  # fmt: skip
    content["extra_state"] = {
        "train_iterator": {"epoch": seed, "iterations_in_epoch": updates},
        "best": 1.5, "val_loss": 2.0, "previous_training_time": 7.0, **extra,
    }  # fmt: skip
    return open_checkpoint(write(path, content))


@pytest.fixture
def kept(tmp_path: Path) -> Opened:
    return training(tmp_path / "kept.pt", 1, 2, **{PARAMETERS: ORDER})


@pytest.fixture
def end(tmp_path: Path) -> Opened:
    return training(tmp_path / "end.pt", 2, 9, ema={FC: torch.ones(SHAPES[FC])})


def written(content: dict, path: Path) -> Opened:
    storage.save(content, path)
    return open_checkpoint(str(path))


def test_weights_go_back_under_the_masks_of_the_end(kept: Opened, end: Opened, tmp_path: Path):
    record = apply_recipe(end, HALF).record
    back = written(rewound(kept, end, record, "weights", {"round": 1}), tmp_path / "back.pt")
    assert back.masks is not None and record.masks is not None
    assert back.masks.digest() == record.masks.digest()
    for name, mask in record.masks.items():
        assert torch.equal(back.weights[name].tensor, kept.weights[name].tensor * mask)
    assert updates_of(back.content) == 2
    assert back.content["extra_state"] == {
        "train_iterator": {"epoch": 1, "iterations_in_epoch": 2},
        "previous_training_time": 0.0,
    }
    moment = back.content["last_optimizer_state"]["state"][1]["exp_avg"]
    assert torch.equal(moment, record.masks[QUERY].float())
    assert audit_of(back.path).ok and audit_of(back.path).checked == [
        "model",
        "optimizer",
    ]
    # what the masks were made from stays as it was
    assert bool(kept.content["last_optimizer_state"]["state"][1]["exp_avg"].all())


def test_learning_rate_rewinding_takes_the_schedule_alone(
    kept: Opened, end: Opened, tmp_path: Path
) -> None:
    record = apply_recipe(end, HALF).record
    content = rewound(kept, end, record, "learning-rate", {"round": 1})
    back = written(content, tmp_path / "back.pt")
    assert record.masks is not None
    for name, mask in record.masks.items():
        assert torch.equal(back.weights[name].tensor, end.weights[name].tensor * mask)
    assert back.content["optimizer_history"] == kept.content["optimizer_history"]
    assert back.content["extra_state"]["train_iterator"]["epoch"] == 1
    average = back.content["extra_state"]["ema"][FC]
    assert torch.equal(average, record.masks[FC].float())
    state = back.content["last_optimizer_state"]
    assert state["param_groups"][0]["lr"] == 0.1  # the rate of then, the moments of the end
    assert state["state"][1]["step"] == 9
    assert torch.equal(state["state"][1]["exp_avg"], record.masks[QUERY] * 2.0)
    assert audit_of(back.path).ok


@pytest.mark.parametrize("rewind", ["weights", "learning-rate"])
def test_the_digest_is_that_of_what_it_was_rewound_to(
    rewind: str, kept: Opened, end: Opened, tmp_path: Path
) -> None:
    record = apply_recipe(end, HALF).record
    back = written(rewound(kept, end, record, rewind, {}), tmp_path / "back.pt")
    source, other = (kept, end) if rewind == "weights" else (end, kept)
    assert check_survivors(back) == survivors(source, record) != survivors(other, record)


@pytest.mark.parametrize("name", ["pruned", "kept", "bias"])
def test_the_digest_looks_at_every_survivor_and_at_nothing_pruned(
    name: str, kept: Opened, end: Opened, tmp_path: Path
) -> None:
    record = apply_recipe(end, HALF).record
    content = rewound(kept, end, record, "weights", {})
    assert record.masks is not None
    mask = record.masks[QUERY].reshape(-1)
    if name == "bias":
        tensor, index = content["model"][QUERY.replace("weight", "bias")], 0
    else:
        tensor, index = (
            content["model"][QUERY].reshape(-1),
            int((mask == (name == "kept")).nonzero()[0]),
        )
    tensor[index] += 1.0
    changed = written(content, tmp_path / "changed.pt")
    if name == "pruned":
        assert check_survivors(changed) == survivors(kept, record)
        return
    with pytest.raises(CheckpointError, match="are not those that it was rewound to"):
        check_survivors(changed)


def test_an_unknown_optimizer_is_refused(kept: Opened, end: Opened) -> None:
    kept.content["last_optimizer_state"]["param_groups"] = [{"params": [0, 1]}]
    record = apply_recipe(end, HALF).record
    with pytest.raises(ValueError, match="laid out in an unknown way"):
        rewound(kept, end, record, "weights", {})


def test_a_run_is_over_at_its_last_update(kept: Opened, end: Opened) -> None:
    assert is_over(end.content) and not is_over(kept.content)
    assert not is_over({**end.content, "cfg": {"optimization": {"max_update": 0}}})
