"""Flags of penalties, and penalties at work on tensors alone."""

from typing import Any

import pytest
import torch
from torch import nn

from fairseq_prune.masks.state import Masks
from fairseq_prune.network.weights import Weight
from fairseq_prune.pruning.checks import checked
from fairseq_prune.pruning.notes import Notes
from fairseq_prune.pruning.penalty_flags import GroupLasso, Growing, Penalty, penalty_differences
from fairseq_prune.pruning.penalty_run import Optimised, Penalised, at_work, size_ratio
from fairseq_prune.pruning.pruner import Pruned
from fairseq_prune.pruning.recipe import Recipe

SCHEME = {"scheme": "class-blind"}
REFUSED: list[tuple[Penalty, dict[str, Any], list[float], str]] = [
    (Growing(), {}, [0.001], "needs --prune-scheme"),
    (Growing(), {"mask_from": "x.pt"}, [0.001], "needs --prune-scheme"),
    (Growing(), SCHEME, [0.001], "needs --prune-start"),
    (Growing(), {**SCHEME, "start": 0}, [0.001], "needs --prune-start"),
    (Growing(), {**SCHEME, "schedule": "gradual", "start": 1, "end": 9}, [0.001], "contradicts"),
    (Growing(penalty="greg-3"), {**SCHEME, "start": 9}, [0.001], "choose greg-1 or greg-2"),
    (Growing(penalty_ceiling=-1.0), {**SCHEME, "start": 9}, [0.001], "above 0"),
    (Growing(penalty_ceiling=float("nan")), {**SCHEME, "start": 9}, [0.001], "above 0"),
    (Growing(penalty_raises=0), {**SCHEME, "start": 9}, [0.001], "1 or more"),
    (Growing(penalty_ceiling=5.0), {**SCHEME, "start": 9}, [0.1, 0.5], "give at most 2"),
    (GroupLasso(), {}, [], "needs --prune-scheme"),
    (GroupLasso(), SCHEME, [], "give --prune-start"),
    (GroupLasso(penalty_strength=-0.1), {**SCHEME, "start": 9}, [], "0 or more"),
    (
        GroupLasso(),
        {"scheme": "class-uniform", "structure": "2:4", "start": 9},
        [],
        "2:4 has no groups",
    ),
]


@pytest.mark.parametrize(("penalty", "recipe", "rates", "why"), REFUSED)
def test_what_makes_no_sense_is_refused_in_one_sentence(
    penalty: Penalty, recipe: dict[str, Any], rates: list[float], why: str
) -> None:
    with pytest.raises(ValueError, match=why) as error:
        penalty.check(checked(Recipe(**recipe)), rates)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("penalty", "recipe"),
    [
        (Growing(), {"start": 9}),
        (Growing(penalty_ceiling=1000.0), {"start": 9, "structure": "block:4x4"}),
        (GroupLasso(), {"start": 9}),
        (GroupLasso(penalty_strength=0.0), {"start": 9, "structure": "row"}),
        (GroupLasso(), {"schedule": "gradual", "end": 9, "structure": "block:4x4"}),
    ],
)
def test_what_makes_sense_is_not(penalty: Penalty, recipe: dict[str, Any]) -> None:
    penalty.check(checked(Recipe(**SCHEME, **recipe)), [0.001])


def parts(weight: Weight, rate: float = 0.1) -> list[Optimised]:
    return [Optimised(weight, weight.tensor.detach(), rate)]


def growing(until: int, **flags: Any) -> Penalised:
    settings = Growing(penalty_ceiling=4.0, penalty_raises=4, **flags)
    return at_work(settings, checked(Recipe(scheme="class-blind", start=until)))


def masks(weight: Weight) -> Masks:
    return Masks({"w": torch.tensor([[True, False], [False, True]])})


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_with_no_gradient_weights_shrink_by_the_factors_and_moments_stay(kind: str) -> None:
    parameter = nn.Parameter(torch.tensor([[1.0, 1.0], [-2.0, 4.0]]))
    weight = Weight("w", parameter)
    optimizer: torch.optim.Optimizer = (
        torch.optim.Adam([parameter], lr=0.1)
        if kind == "adam"
        else torch.optim.SGD([parameter], lr=0.1, momentum=0.9)
    )
    penalty = growing(until=4)
    penalty.begin(0, {"w": weight})
    assert penalty.is_time_to_choose(0)
    penalty.choose(Pruned(masks(weight)))
    expected = parameter.detach().clone()
    for step, value in enumerate((1.0, 2.0, 3.0, 4.0), start=1):
        parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        penalty.act_(step, parts(weight))
        penalty.act_(step, parts(weight))  # an update that is repeated is penalised once
        assert penalty.value == value
        expected[0, 1] *= 1 - 0.1 * value
        expected[1, 0] *= 1 - 0.1 * value
        assert torch.equal(parameter.detach(), expected)
    for state in optimizer.state.values():
        moments = [v for v in state.values() if isinstance(v, torch.Tensor) and v.dim() == 2]
        assert moments and not any(bool(m.any()) for m in moments)
    assert penalty.release() is not None
    penalty.act_(5, parts(weight))
    assert torch.equal(parameter.detach(), expected)


def test_greg_2_shrinks_all_but_the_pad_row_before_it_chooses() -> None:
    weight = Weight("w", nn.Parameter(torch.ones(2, 2)), fixed=(0, 2))
    penalty = growing(until=4, penalty="greg-2")
    penalty.begin(0, {"w": weight})
    penalty.act_(1, parts(weight))
    factor = 1 - 0.1 * penalty.value
    assert weight.tensor.tolist() == [[1, 1], torch.full((2,), factor).tolist()]
    assert not penalty.is_time_to_choose(1) and penalty.is_time_to_choose(2)


def test_a_penalty_that_would_turn_weights_around_makes_them_zero() -> None:
    weight = Weight("w", nn.Parameter(torch.ones(2, 2)))
    penalty = growing(until=1)
    penalty.begin(0, {"w": weight})
    penalty.choose(Pruned(masks(weight)))
    penalty.act_(1, parts(weight, rate=0.5))
    assert weight.tensor.tolist() == [[1, 0], [0, 1]]


def test_what_is_remembered_goes_on() -> None:
    weight = Weight("w", nn.Parameter(torch.ones(2, 2)))
    one, other = growing(until=10), growing(until=10)
    one.begin(2, {"w": weight})
    one.choose(Pruned(masks(weight), notes=Notes(lambda_=1.5)))
    one.act_(3, parts(weight))
    other.take_up(one.pack(), "file")
    other.begin(3, {"w": weight})
    assert not other.is_time_to_choose(3)
    assert other.value == one.value == 1.0  # begun at 2, not at 3
    found = other.release()
    assert found is not None
    assert found.masks.digest() == masks(weight).digest() and found.notes == Notes(lambda_=1.5)


def test_a_damaged_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="says of its penalty is damaged"):
        growing(until=10).take_up({"settings": {}}, "file.pt")


def test_a_run_that_begins_too_late_has_no_penalty() -> None:
    weight = Weight("w", nn.Parameter(torch.ones(2, 2)))
    penalty = growing(until=3)
    penalty.begin(5, {"w": weight})
    penalty.act_(6, parts(weight))
    assert not penalty.is_time_to_choose(5) and penalty.release() is None
    assert weight.tensor.tolist() == [[1, 1], [1, 1]]


def test_group_lasso_ends_with_the_last_pruning() -> None:
    weight = Weight("w", nn.Parameter(torch.tensor([[1.0, 1.0], [0.01, 0.01]])))
    recipe = checked(Recipe(scheme="class-blind", start=1, structure="row"))
    penalty = at_work(GroupLasso(penalty_strength=1.0), recipe)
    penalty.begin(0, {"w": weight})
    penalty.act_(1, parts(weight))
    torch.testing.assert_close(weight.tensor[0].detach(), torch.full((2,), 0.9))
    assert weight.tensor[1].tolist() == [0, 0]
    after = weight.tensor.detach().clone()
    penalty.act_(2, parts(weight))
    assert torch.equal(weight.tensor.detach(), after) and penalty.value == 0


def test_differences_are_named() -> None:
    mine = at_work(Growing(penalty_ceiling=2.0), Recipe(scheme="erk", start=3)).pack()
    assert penalty_differences(mine["settings"], mine) == []
    assert penalty_differences(None, {}) == penalty_differences(None, None) == []
    other = at_work(Growing(penalty_ceiling=3.0), Recipe(scheme="erk", start=3)).pack()
    assert penalty_differences(mine["settings"], other) == [
        "--prune-penalty-ceiling 2.0 (in the file: 3.0)"
    ]
    assert penalty_differences(None, mine)[0] == (
        "the criterion's penalty None (in the file: growing)"
    )


def test_the_ratio_of_sizes_is_of_root_mean_squares() -> None:
    weight = Weight("w", torch.tensor([[4.0, 1.0], [-1.0, 4.0]]))
    assert size_ratio({"w": weight}, masks(weight)) == 0.25
