"""What is removed together: scores pooled to groups, and masks of groups made masks of weights.

A tensor is taken as a matrix (out, in); what has more dimensions is flattened to (shape[0], rest).
"""

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from fairseq_prune.maths.score import Score

POOLS = ("mean", "max", "sum", "norm")
LAYERS = "layers"
UNITS = {
    "ffn": "neurons of feed-forward layers",
    "heads": "attention heads",
    "hidden": "LSTM cells and what attention puts out",
    "embedding": "columns of an LSTM's embeddings",
    LAYERS: "whole encoder and decoder layers of a Transformer",
}


class Structure(Protocol):
    """Groups of weights that stay or go together, of which a scheme keeps the best."""

    def check(self, name: str, shape: tuple[int, ...]) -> None:
        """Raises ValueError, naming the tensor, where it cannot be grouped like this."""

    def pool(self, score: "Score") -> "Score":
        """The score of each group; a group is gone when all of it is."""

    def expand(self, mask: "Tensor", score: "Score") -> "Tensor":
        """The mask of the weights: what is fixed is True, what was gone stays so."""

    def spread(self, groups: "Tensor", shape: tuple[int, ...]) -> "Tensor":
        """A number for each group, given to each of its weights: a tensor of ``shape``."""

    def count(self, mask: "Tensor", fixed: tuple[int, int] | None) -> tuple[int, int]:
        """How many groups there are in a mask, and how many of them are gone."""


@dataclass(frozen=True)
class Element:
    """Every weight for itself."""

    def check(self, name: str, shape: tuple[int, ...]) -> None:
        """Fits every tensor."""

    def pool(self, score: "Score") -> "Score":
        """The score itself."""
        return score

    def expand(self, mask: "Tensor", score: "Score") -> "Tensor":
        """The mask itself."""
        return mask

    def spread(self, groups: "Tensor", shape: tuple[int, ...]) -> "Tensor":
        """The numbers themselves."""
        return groups

    def count(self, mask: "Tensor", fixed: tuple[int, int] | None) -> tuple[int, int]:
        """How many weights there are, and how many are gone."""
        a, b = fixed or (0, 0)
        return mask.numel() - (b - a), mask.numel() - int(mask.sum())


@dataclass(frozen=True)
class Block:
    """Tiles of ``rows`` x ``columns`` weights (Narang, Undersander and Diamos 2017).

    Tiles begin at the upper left; those at the right and lower edge may be smaller. A fraction of
    blocks is removed, so that with such edges the fraction of weights may differ from it a little.
    A pad row counts in no tile.

    Args:
        rows, columns: size of a tile; 0 stands for all there are.
        pooled: the value of a tile: the mean, the largest, the sum or the Euclidean norm of its
            weights' scores.
    """

    rows: int
    columns: int
    pooled: str = "mean"

    def check(self, name: str, shape: tuple[int, ...]) -> None:
        """Fits every tensor."""

    def pool(self, score: "Score") -> "Score":
        """The score of each tile: (tiles down, tiles across)."""
        import torch  # here, as --help does without it

        from fairseq_prune.maths.score import Score

        present = score.present.flatten(1)
        values = score.values.detach().flatten(1).to(torch.float64)
        values = (values.abs() if score.absolute else values) / score.scale
        fill = -torch.inf if self.pooled == "max" else 0.0
        tiles = self._tiles(torch.where(present, values, fill), fill)
        there = self._tiles(present, False)
        alive = there.any(dim=-1)
        if self.pooled == "max":
            found = tiles.amax(dim=-1)
        elif self.pooled == "norm":
            found = torch.linalg.vector_norm(tiles, dim=-1)
        else:
            found = tiles.sum(dim=-1)
            if self.pooled == "mean":
                found = found / there.sum(dim=-1).clamp_min(1)
        found = found.masked_fill(~alive, 0.0)
        return Score(found, alive=None if bool(alive.all()) else alive, fixed=self._fixed(score))

    def expand(self, mask: "Tensor", score: "Score") -> "Tensor":
        """The mask of the weights."""
        large = self.spread(mask, tuple(score.values.shape)).flatten(1)
        kept = (large & score.present.flatten(1)).reshape(-1)
        if score.fixed is not None:
            kept[slice(*score.fixed)] = True
        return kept.reshape(score.values.shape)

    def spread(self, groups: "Tensor", shape: tuple[int, ...]) -> "Tensor":
        """Each tile's number at each of its weights."""
        height, width = shape[0], math.prod(shape[1:])
        rows, columns = self._size(height, width)
        large = groups.repeat_interleave(rows, 0)[:height].repeat_interleave(columns, 1)[:, :width]
        return large.reshape(shape)

    def count(self, mask: "Tensor", fixed: tuple[int, int] | None) -> tuple[int, int]:
        """How many tiles there are, and how many of them are gone whole."""
        import torch

        from fairseq_prune.maths.score import Score

        groups = self.pool(Score(torch.ones(mask.shape), alive=mask, fixed=fixed))
        total = groups.numel_prunable
        return total, total - groups.numel_alive

    def _size(self, height: int, width: int) -> tuple[int, int]:
        return self.rows or height, self.columns or width

    def _tiles(self, matrix: "Tensor", fill: float | bool) -> "Tensor":
        """(tiles down, tiles across, weights of a tile), the edges filled up."""
        height, width = matrix.shape
        rows, columns = self._size(height, width)
        down, across = -(-height // rows), -(-width // columns)
        whole = matrix.new_full((down * rows, across * columns), fill)
        whole[:height, :width] = matrix
        cut = whole.reshape(down, rows, across, columns).transpose(1, 2)
        return cut.reshape(down, across, rows * columns)

    def _fixed(self, score: "Score") -> tuple[int, int] | None:
        """The tiles that take no part: those of a fixed row, where tiles are one row high."""
        height, width = score.values.flatten(1).shape
        rows, columns = self._size(height, width)
        if score.fixed is None or rows != 1:
            return None
        across = -(-width // columns)
        return score.fixed[0] // width * across, score.fixed[1] // width * across


@dataclass(frozen=True)
class NofM:
    """The ``n`` largest of every ``m`` neighbours along the input (Zhou et al. 2021).

    There is nothing to allocate: each tensor keeps n / m of its weights, to the last one.
    """

    n: int
    m: int

    @property
    def sparsity(self) -> float:
        """The fraction that is removed."""
        return 1.0 - self.n / self.m

    def check(self, name: str, shape: tuple[int, ...]) -> None:
        """Raises ValueError where the input does not divide into groups of m."""
        width = math.prod(shape[1:])
        if width % self.m:
            raise ValueError(
                f"--prune-structure {self.n}:{self.m} needs inputs in multiples of {self.m}, but "
                f"{name} has {width}; leave it out with --prune-exclude."
            )

    def count(self, mask: "Tensor", fixed: tuple[int, int] | None) -> tuple[int, int]:
        """How many weights there are, and how many are gone."""
        return Element().count(mask, fixed)

    def masks(self, score: "Score") -> "Tensor":
        """The mask of the weights. Ties go to the lower index."""
        import torch

        values = score.values.detach().reshape(-1, self.m).to(torch.float64)
        values = values.abs() if score.absolute else values.clone()
        values[~score.present.reshape(-1, self.m)] = -torch.inf
        places = values.argsort(dim=1, descending=True, stable=True)[:, : self.n]
        kept = torch.zeros_like(values, dtype=torch.bool).scatter_(1, places, True)
        kept = (kept & (values > -torch.inf)).reshape(-1)
        if score.fixed is not None:
            kept[slice(*score.fixed)] = True
        return kept.reshape(score.values.shape)


@dataclass(frozen=True)
class Units:
    """Whole units of a network, with all the weights that make them and read them.

    They lie across tensors: :mod:`fairseq_prune.network.units` knows where.

    Args:
        kinds: some of `UNITS`.
        pooled: as for :class:`Block`.
    """

    kinds: tuple[str, ...]
    pooled: str = "mean"

    @property
    def turns(self) -> tuple[tuple[str, ...], ...]:
        """The kinds that are ranked together: layers first, then the units of those that stay."""
        others = tuple(kind for kind in self.kinds if kind != LAYERS)
        layers = (LAYERS,) if LAYERS in self.kinds else ()
        return tuple(filter(None, (layers, others)))


def parse(text: str, pooled: str = "mean") -> Element | Block | NofM | Units:
    """The structure that ``weight``, ``row``, ``block:RxC``, ``N:M`` or ``ffn+heads`` stands for.

    Raises ValueError for anything else.
    """
    if text == "weight":
        return Element()
    if text == "row":
        return Block(1, 0, pooled)
    kinds = tuple(dict.fromkeys(text.split("+")))
    if all(kind in UNITS for kind in kinds):
        return Units(kinds, pooled)
    block = re.fullmatch(r"block:(\d+)x(\d+)", text)
    if block and min(map(int, block.groups())) > 0:
        return Block(int(block[1]), int(block[2]), pooled)
    pattern = re.fullmatch(r"(\d+):(\d+)", text)
    if pattern and 0 < int(pattern[1]) < int(pattern[2]):
        return NofM(int(pattern[1]), int(pattern[2]))
    raise ValueError(
        f"--prune-structure {text!r} is unknown; choose weight, row, block:RxC (such as "
        f"block:4x4), N:M (such as 2:4), {', '.join(UNITS)}, or several of these: ffn+heads."
    )
