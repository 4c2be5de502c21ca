"""Zeros in weights, gradients, masters and moments, in every layout of an optimizer."""

import pytest
import torch
from torch import nn

from fairseq_prune.masks.hold import Holder, Slot, flat_slots
from fairseq_prune.masks.state import Masks

KEEP = torch.tensor([[True, False], [False, True]])


def setup() -> tuple[nn.Parameter, nn.Parameter, Holder]:
    a, b = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(3))
    masks = Masks({"a": KEEP.clone(), "b": torch.ones(3, dtype=torch.bool)})
    return a, b, Holder(masks, {"a": a, "b": b})


def test_weights_go_to_plus_zero_in_place_nan_included() -> None:
    a, _, holder = setup()
    with torch.no_grad():
        a[0, 1], a[1, 0] = float("nan"), -3.0
    place = a.data_ptr()
    assert holder.violations() == {"a": 2}
    holder.zero_weights_()
    assert a.data_ptr() == place
    assert a.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert not torch.signbit(a).any()
    assert holder.violations() == {}


def test_the_holder_gives_its_masks_back() -> None:
    _, _, holder = setup()
    masks = holder.masks()
    assert torch.equal(masks["a"], KEEP)
    assert bool(masks["b"].all())


def test_gradients_of_pruned_weights_are_zero() -> None:
    a, b, holder = setup()
    (a.sum() + b.sum()).backward()
    holder.zero_gradients_()
    assert a.grad is not None and b.grad is not None
    assert a.grad.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert b.grad.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("make", [torch.optim.Adam, torch.optim.SGD, torch.optim.Adagrad])
def test_weights_stay_zero_through_momentum_and_decay(make: type) -> None:
    a, b, holder = setup()
    more = {"momentum": 0.9} if make is torch.optim.SGD else {}
    optimizer = make([a, b], lr=0.1, weight_decay=0.1, **more)
    for _ in range(3):
        optimizer.zero_grad()
        (a.pow(3).sum() + b.sum()).backward()
        optimizer.step()
    slots = [Slot(a, a), Slot(b, b)]
    holder.zero_moments_(slots, optimizer.state)
    holder.zero_weights_()
    for _ in range(3):
        optimizer.zero_grad()
        (a.pow(3).sum() + a.sum() + b.sum()).backward()
        holder.zero_gradients_()
        optimizer.step()
        assert a.detach()[~KEEP].tolist() == [0.0, 0.0]
        holder.zero_weights_()


def test_a_flat_master_and_its_moments_are_zeroed_at_the_right_place() -> None:
    a, b, holder = setup()
    flat = nn.Parameter(torch.arange(1.0, 8.0))
    slots = flat_slots([b, a], flat)  # a begins at 3
    state = {flat: {"exp_avg": torch.arange(1.0, 8.0), "step": torch.tensor(3.0)}}
    holder.zero_masters_(slots)
    holder.zero_moments_(slots, state)
    expected = [1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 7.0]
    assert flat.tolist() == expected
    assert state[flat]["exp_avg"].tolist() == expected
    assert float(state[flat]["step"]) == 3.0


def test_a_state_that_is_not_one_number_a_weight_is_left_alone() -> None:
    a, b, holder = setup()
    rows = torch.ones(2)
    holder.zero_moments_([Slot(a, a)], {a: {"exp_avg_sq_row": rows}})
    assert rows.tolist() == [1.0, 1.0]


def test_second_moments_are_lifted_under_the_root_only() -> None:
    a, b, holder = setup()
    state = {a: {key: torch.zeros(2, 2) for key in ("exp_avg", "exp_avg_sq")}}
    assert holder.lift_second_moments_([Slot(a, a), Slot(b, b)], state)
    assert state[a]["exp_avg"].tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert state[a]["exp_avg_sq"].tolist() == [[0.0, 1.0], [1.0, 0.0]]
    assert not holder.lift_second_moments_([Slot(b, b)], {b: {"exp_avg_sq": torch.zeros(3)}})


def test_state_dicts_are_zeroed_by_name() -> None:
    _, _, holder = setup()
    state = {"x.a": torch.ones(2, 2), "a": torch.ones(2, 2)}
    holder.zero_state_dict_(state, prefix="x.")
    assert state["x.a"].tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert state["a"].tolist() == [[1.0, 1.0], [1.0, 1.0]]
