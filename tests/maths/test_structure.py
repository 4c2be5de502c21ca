"""Groups of weights: pooled by hand, expanded exactly, gone and fixed weights in their places."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq_prune.maths.score import Score
from fairseq_prune.maths.select import keep_largest
from fairseq_prune.maths.structure import POOLS, Block, Element, NofM, parse

GRID = torch.arange(1.0, 13.0).reshape(3, 4)  # 1 2 3 4 / 5 6 7 8 / 9 10 11 12


@pytest.mark.parametrize(
    ("pooled", "expected"),
    [
        ("max", [[6.0, 8.0], [10.0, 12.0]]),
        ("sum", [[14.0, 22.0], [19.0, 23.0]]),
        ("mean", [[3.5, 5.5], [9.5, 11.5]]),
    ],
)
def test_tiles_are_pooled_and_ragged_edges_count_what_is_there(
    pooled: str, expected: list[list[float]]
) -> None:
    assert Block(2, 2, pooled).pool(Score(GRID)).values.tolist() == expected


def test_a_row_is_pooled_by_size() -> None:
    values = torch.tensor([[1.0, -3.0], [0.5, 0.5]])
    assert Block(1, 0, "sum").pool(Score(values, absolute=True)).values.tolist() == [[4.0], [1.0]]


def test_a_mask_of_tiles_covers_their_weights() -> None:
    mask = torch.tensor([[True, False], [False, True]])
    expanded = Block(2, 3).expand(mask, Score(GRID))
    assert expanded.int().tolist() == [[1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1]]


def test_a_pad_row_takes_no_part() -> None:
    score = Score(GRID, fixed=(4, 8))
    pooled = Block(1, 2, "sum").pool(score)
    assert pooled.fixed == (2, 4) and pooled.numel_prunable == 4
    mask = Block(1, 2).expand(keep_largest(pooled, 1), score)
    assert mask.int().tolist() == [[0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 1, 1]]
    # a tile that it shares with other rows counts only these
    assert Block(3, 4, "sum").pool(score).values.tolist() == [[1 + 2 + 3 + 4 + 9 + 10 + 11 + 12.0]]


def test_a_tile_is_gone_when_all_of_it_is() -> None:
    alive = torch.tensor([[0, 0, 1, 1], [0, 0, 0, 1], [1, 1, 1, 1]]).bool()
    score = Score(GRID, alive=alive)
    pooled = Block(2, 2, "mean").pool(score)
    assert pooled.numel_alive == 3
    assert pooled.values.tolist() == [[0.0, 5.0], [9.5, 11.5]]
    kept = Block(2, 2).expand(keep_largest(pooled, 3), score)
    assert torch.equal(kept, alive)


shapes = st.tuples(st.integers(1, 7), st.integers(1, 9))


@settings(deadline=None)
@given(shapes, st.integers(1, 4), st.integers(1, 4), st.sampled_from(POOLS), st.integers(0, 99))
def test_every_tile_stays_or_goes_whole(
    shape: tuple[int, int], rows: int, columns: int, pooled: str, seed: int
) -> None:
    score = Score(torch.randn(shape, generator=torch.Generator().manual_seed(seed)), absolute=True)
    block = Block(rows, columns, pooled)
    groups = block.pool(score)
    n = groups.values.numel() // 2
    mask = block.expand(keep_largest(groups, n), score)
    assert mask.shape == score.values.shape
    kept = 0
    for top in range(0, shape[0], rows):
        for left in range(0, shape[1], columns):
            tile = mask[top : top + rows, left : left + columns]
            assert bool(tile.all()) or not bool(tile.any())
            kept += bool(tile.all())
    assert kept == n


@settings(deadline=None)
@given(shapes, st.integers(0, 99))
def test_tiles_of_one_weight_are_weights(shape: tuple[int, int], seed: int) -> None:
    score = Score(torch.randn(shape, generator=torch.Generator().manual_seed(seed)), absolute=True)
    n = score.values.numel() // 2
    for pooled in POOLS:
        block = Block(1, 1, pooled)
        assert torch.equal(
            block.expand(keep_largest(block.pool(score), n), score), keep_largest(score, n)
        )


def test_n_of_m_keeps_the_largest_of_each_group() -> None:
    values = torch.tensor([[3.0, -4.0, 1.0, 2.0, 0.0, 0.0, 0.0, 5.0]])
    mask = NofM(2, 4).masks(Score(values, absolute=True))
    assert mask.int().tolist() == [[1, 1, 0, 0, 1, 0, 0, 1]]  # ties to the lower index


def test_n_of_m_leaves_pads_and_what_is_gone() -> None:
    alive = torch.tensor([[True] * 4, [False, True, False, False], [True] * 4])
    mask = NofM(2, 4).masks(Score(GRID, alive=alive, fixed=(0, 4)))
    assert mask.int().tolist() == [[1, 1, 1, 1], [0, 1, 0, 0], [0, 0, 1, 1]]


def test_n_of_m_names_what_does_not_divide() -> None:
    with pytest.raises(ValueError, match=r"2:4 needs inputs in multiples of 4, but fc has 6;"):
        NofM(2, 4).check("fc", (8, 6))
    NofM(2, 4).check("conv", (8, 2, 2))


def test_words_stand_for_structures() -> None:
    assert parse("weight") == Element()
    assert parse("row", "sum") == Block(1, 0, "sum")
    assert parse("block:4x2", "max") == Block(4, 2, "max")
    assert parse("2:4") == NofM(2, 4)


@pytest.mark.parametrize("bad", ["", "unit", "block:4", "block:0x4", "4:4", "0:4", "block:axb"])
def test_other_words_are_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="is unknown; choose weight, row, block:RxC"):
        parse(bad)
