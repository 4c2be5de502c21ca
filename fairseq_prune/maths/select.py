"""Exactly n survivors of any ranking: streaming, ties to the lower index."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from fairseq_prune.maths.score import Score, Scores, first_at
from fairseq_prune.maths.stream import Reader
from fairseq_prune.maths.threshold import find_cut

__all__ = [
    "Budgets",
    "Findings",
    "Score",
    "Scores",
    "count_kept",
    "floors",
    "keep_largest",
    "make_masks",
    "round_count",
]


@dataclass(frozen=True)
class Findings:
    """What an allocation, or a pruning by it, found on the way; None what it did not look for.

    Args:
        threshold: of one ranking over all, the smallest key that is kept.
        thresholds: of one ranking for each class, the same by class.
        lambda_, sigma: of class-distribution: class c loses what is below ``lambda_ * sigma[c]``.
        epsilon: of erk: the density of a tensor is ``epsilon * sum(dims) / prod(dims)``.
        cuts: of a rising threshold, by tensor, the one that it ends at.
    """

    threshold: float | None = None
    thresholds: Mapping[str, float] | None = None
    lambda_: float | None = None
    sigma: Mapping[str, float] | None = None
    epsilon: float | None = None
    cuts: Mapping[str, float] | None = None


class Budgets(Mapping[str, int]):
    """How many weights of each tensor survive. Immutable.

    Attributes:
        near: raw cut-off (in units of values or |values|) by tensor, where one is known. It makes
            `keep_largest` faster and cannot change what it returns.
        found: what the allocation found on the way.
        masks: the masks themselves, of those tensors where they came out on the way.
            `make_masks` hands them out.
    """

    def __init__(
        self,
        kept: Mapping[str, int],
        near: Mapping[str, float] | None = None,
        found: Findings | None = None,
        masks: Mapping[str, Tensor] | None = None,
    ) -> None:
        self._kept = MappingProxyType(dict(kept))
        self.near: Mapping[str, float] = MappingProxyType(dict(near or {}))
        self.found = found or Findings()
        self.masks: Mapping[str, Tensor] = MappingProxyType(dict(masks or {}))

    def __getitem__(self, name: str) -> int:
        return self._kept[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def __repr__(self) -> str:
        return f"Budgets({dict(self._kept)})"

    @property
    def total(self) -> int:
        """How many weights survive over all tensors."""
        return sum(self._kept.values())


def round_count(fraction: float, total: int) -> int:
    """How many of `total` make up `fraction`: the one rounding function of the project."""
    return round(fraction * total)


def count_kept(
    scores: Scores, keep: int, *, cap: bool = False, least: Mapping[str, int] | None = None
) -> Budgets:
    """How many of each tensor are among the `keep` largest keys over all tensors.

    A tensor that would keep fewer than `least` keeps so many, and the others that much less.

    Ties go to the earlier tensor, then to the lower flat index. The masks of `make_masks`, or of
    `keep_largest` with these budgets, are the mask of that ranking, bit for bit.

    Args:
        keep: how many weights survive over all tensors.
        cap: keep all that are alive when they are fewer than `keep`; otherwise an error.
        least: by tensor, how many of those alive stay in any case, even where that is more than
            `keep` in all.

    Raises:
        ValueError: `keep` is negative or more than what is alive, or a score holds NaN.
    """
    if keep < 0:
        raise ValueError(f"`keep` must be at least 0, but is {keep}.")
    cut = find_cut(scores, keep)
    if cut.total < keep and not cap:
        raise ValueError(f"`keep` must be at most the {cut.total} alive weights, but is {keep}.")
    low = {name: floor for name, floor in floors(scores, least).items() if cut.kept[name] < floor}
    if low:
        rest = {name: score for name, score in scores.items() if name not in low}
        found = count_kept(rest, max(0, keep - sum(low.values())), cap=cap, least=least)
        both = {**low, **found}
        return Budgets({n: both[n] for n in scores}, found.near, found.found, found.masks)
    near = {name: first_at(score, cut.key) for name, score in scores.items()}
    return Budgets(
        cut.kept,
        {name: value for name, value in near.items() if not math.isnan(value)},
        Findings(threshold=cut.key),
        {name: _shaped(mask, scores[name]) for name, mask in cut.masks.items()},
    )


def floors(scores: Scores, least: Mapping[str, int] | None) -> dict[str, int]:
    """How many of each tensor stay in any case: `least`, or all that are alive; 0 without it."""
    return {n: min((least or {}).get(n, 0), score.numel_alive) for n, score in scores.items()}


def make_masks(scores: Scores, budgets: Budgets) -> dict[str, Tensor]:
    """The mask of each tensor: bool, of the shape and device of its values.

    Those that `budgets` brings along are handed out as they are; the others are made by
    `keep_largest`.

    Args:
        scores: those from which `budgets` was made, with the same values (the scale may differ).
    """
    return {
        name: budgets.masks[name].to(score.values.device)
        if name in budgets.masks
        else keep_largest(score, budgets[name], budgets.near.get(name), name=name)
        for name, score in scores.items()
    }


def keep_largest(score: Score, n: int, near: float | None = None, *, name: str = "") -> Tensor:
    """The mask of the `n` largest keys of one tensor: bool, the shape and device of its values.

    Ties go to the lower flat index. The fixed range is True and not counted in `n`.

    Args:
        n: how many weights survive.
        near: raw cut-off to try first, as in `Budgets.near`; it saves time when it is right.
        name: names the tensor in errors.

    Raises:
        ValueError: `n` is negative or more than what is alive, or the score holds NaN.
    """
    if n < 0:
        raise ValueError(f"`n` must be at least 0, but is {n}.")
    if n == 0:
        return _shaped(np.zeros(score.values.numel(), bool), score)
    reader = Reader(score, name)
    if near is not None and not math.isnan(near):
        mask = np.empty(score.values.numel(), bool)
        if _cut_at(reader, n, near, mask):
            return _shaped(mask, score)
        del mask
    cut = find_cut({name: score}, n)
    if cut.total < n:
        where = f" of {name}" if name else ""
        raise ValueError(f"`n` must be at most the {cut.total} alive weights{where}, but is {n}.")
    if name in cut.masks:
        return _shaped(cut.masks[name], score)
    mask = np.empty(score.values.numel(), bool)
    fits = _cut_at(reader, n, first_at(score, cut.key), mask)
    assert fits
    return _shaped(mask, score)


def _shaped(mask: np.ndarray, score: Score) -> Tensor:
    """A flat mask as the tensor that goes with a score; its fixed range becomes True."""
    if score.fixed is not None:
        mask[slice(*score.fixed)] = True
    return torch.from_numpy(mask).reshape(score.values.shape).to(score.values.device)


def _cut_at(reader: Reader, n: int, near: float, mask: np.ndarray) -> bool:
    """Whether the `n` largest are those from `near` on but for ties at it; then `mask` is right."""
    key = max(near, -np.finfo(np.float64).max) / reader.score.scale
    first = first_at(reader.score, key)
    kept = 0
    for piece in reader.pieces():
        reader.refuse_nan(piece.keys if piece.alive is None else piece.keys[piece.alive])
        kept += int(np.count_nonzero(piece.at_least(first, mask[piece.start : piece.stop])))
    return kept == n or (kept > n and _drop_ties(reader, kept - n, key, mask))


def _drop_ties(reader: Reader, excess: int, key: float, mask: np.ndarray) -> bool:
    """Whether `excess` elements kept in `mask` lie at `key`; then the last of them are cleared."""
    beyond = first_at(reader.score, key, above=True)
    for piece in reader.pieces(backwards=True):
        part = mask[piece.start : piece.stop]
        ties = np.flatnonzero(part & ~piece.at_least(beyond, reader.flags[0][: len(part)]))
        part[ties[max(0, len(ties) - excess) :]] = False
        excess -= min(excess, len(ties))
        if excess == 0:
            return True
    return False
