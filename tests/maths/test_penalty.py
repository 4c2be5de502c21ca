"""Growth in numbers that can be checked by hand; the proximal step as its definition says."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fairseq_prune.maths.penalty import PICK, Growth, group_step_, shrink_
from fairseq_prune.maths.structure import Block, Element


def test_growth_is_spread_evenly_up_to_the_ceiling() -> None:
    growth = Growth(since=0, until=8, ceiling=2.0, raises=4)
    assert growth.chosen_at == 0
    assert [growth.at(step) for step in range(10)] == [0, 0.5, 0.5, 1, 1, 1.5, 1.5, 2, 2, 0]


def test_growth_counts_from_where_the_run_began() -> None:
    growth = Growth(since=100, until=104, ceiling=1.0, raises=2)
    assert [growth.at(step) for step in range(100, 106)] == [0, 0.5, 0.5, 1, 1, 0]


def test_more_raises_than_updates_are_merged() -> None:
    assert [Growth(0, 2, 1.0, 100).at(step) for step in (1, 2)] == [0.5, 1.0]


def test_greg_2_chooses_half_way_at_a_small_share_of_the_ceiling() -> None:
    growth = Growth(since=0, until=8, ceiling=1.0, raises=2, picks=True)
    assert growth.chosen_at == 4
    assert growth.at(4) == PICK
    assert [growth.at(step) for step in (1, 2, 3)] == [PICK / 2, PICK / 2, PICK]
    middle = PICK + (1 - PICK) / 2
    assert [growth.at(step) for step in (5, 6, 7, 8, 9)] == [middle, middle, 1, 1, 0]


@given(st.integers(0, 50), st.integers(1, 60), st.integers(1, 80), st.booleans())
def test_growth_never_falls_and_ends_at_the_ceiling(
    since: int, length: int, raises: int, picks: bool
) -> None:
    growth = Growth(since, since + length, 3.0, raises, picks)
    values = [growth.at(step) for step in range(since + 1, since + length + 1)]
    assert values == sorted(values)
    assert values[-1] == 3.0 and values[0] > 0
    assert since <= growth.chosen_at < since + length


@pytest.mark.parametrize("bad", [(5, 5, 1.0, 1), (0, 5, 0.0, 1), (0, 5, 1.0, 0)])
def test_growth_that_makes_no_sense_is_refused(bad: tuple[int, int, float, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Growth(*bad)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_only_the_chosen_weights_shrink(dtype: torch.dtype) -> None:
    weights = torch.tensor([[1.0, -2.0], [4.0, 8.0]], dtype=dtype)
    shrink_(weights, 0.75, torch.tensor([[True, False], [True, False]]))
    assert weights.tolist() == [[0.75, -2.0], [3.0, 8.0]]


def test_a_tile_is_scaled_by_the_definition_or_zero() -> None:
    # the tile on the left has norm 5, the one on the right 0.5
    weights = torch.tensor([[3.0, 0.0, 0.3, 0.0], [0.0, 4.0, 0.0, -0.4]])
    group_step_(weights, Block(2, 2), threshold=0.5, fixed=None)  # 0.5 * sqrt(4) = 1
    expected = torch.tensor([[2.4, 0.0], [0.0, 3.2]])
    torch.testing.assert_close(weights[:, :2], expected)
    assert int(torch.count_nonzero(weights[:, 2:])) == 0


def test_tiles_at_the_edge_count_the_weights_they_have() -> None:
    weights = torch.tensor([[0.0, 0.0, 2.0]])
    group_step_(weights, Block(1, 2), threshold=0.5, fixed=None)
    assert weights.tolist() == [[0.0, 0.0, 1.5]]  # 2 - 0.5 * sqrt(1)


@pytest.mark.parametrize("structure", [Element(), Block(1, 0), Block(2, 2)])
def test_a_pad_row_is_not_touched_nor_counted(structure: Element | Block) -> None:
    weights = torch.ones(3, 2)
    weights[1] = 9.0
    group_step_(weights, structure, threshold=0.5, fixed=(2, 4))
    # each group has the root mean square 1 of its own weights, without the 9s
    torch.testing.assert_close(weights, torch.tensor([[0.5, 0.5], [9.0, 9.0], [0.5, 0.5]]))


def test_for_single_weights_it_is_the_soft_threshold() -> None:
    weights = torch.randn(7, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = weights.sign() * (weights.abs() - 0.7).clamp_min(0)
    group_step_(weights, Element(), threshold=0.7, fixed=None)
    torch.testing.assert_close(weights, expected)


def test_it_minimises_what_a_proximal_step_minimises() -> None:
    # w = argmin |w - v|^2 / 2 + t * sqrt(n) * |w|, whose gradient vanishes where w is not zero
    v = torch.randn(4, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    w = v.clone()
    group_step_(w, Block(1, 0), threshold=0.3, fixed=None)
    norms = w.norm(dim=1, keepdim=True)
    assert bool((norms > 0).all())
    torch.testing.assert_close(w - v + 0.3 * 6**0.5 * w / norms, torch.zeros_like(w))


@given(st.floats(0, 3), st.sampled_from([Element(), Block(1, 0), Block(2, 3), Block(0, 1)]))
def test_a_group_below_the_threshold_is_exactly_zero(
    threshold: float, structure: Element | Block
) -> None:
    weights = torch.randn(5, 7, generator=torch.Generator().manual_seed(3))
    before = weights.clone()
    group_step_(weights, structure, threshold, fixed=None)
    if threshold == 0:
        assert torch.equal(weights, before)
    if isinstance(structure, Element):
        assert bool((weights[before.abs() < threshold] == 0).all())
    elif structure == Block(1, 0):
        small = before.double().square().mean(dim=1).sqrt() < threshold
        assert bool((weights[small] == 0).all())
    assert bool((weights.abs() <= before.abs()).all())


def test_zeros_stay_zero() -> None:
    weights = torch.zeros(2, 2)
    group_step_(weights, Block(1, 0), threshold=0.1, fixed=None)
    assert weights.tolist() == [[0, 0], [0, 0]]
