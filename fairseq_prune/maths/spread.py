"""The standard deviation of scores, streamed in float64."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fairseq_prune.maths.score import Score, Scores
from fairseq_prune.maths.stream import Array, Reader


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared distances from the mean of some numbers."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def merge(self, other: "Moments") -> "Moments":
        """The moments of both sets of numbers together (Chan, Golub and LeVeque 1983)."""
        count = self.count + other.count
        if count == 0:
            return self
        apart = other.mean - self.mean
        return Moments(
            count,
            self.mean + apart * other.count / count,
            self.squares + other.squares + apart * apart * self.count * other.count / count,
        )

    @property
    def deviation(self) -> float:
        """The standard deviation with n - 1; NaN for fewer than two numbers."""
        return math.sqrt(self.squares / (self.count - 1)) if self.count > 1 else math.nan


def moments(score: Score, name: str = "") -> Moments:
    """Moments of the signed values (scale left out) that take part and are alive."""
    signed = Reader(Score(score.values, alive=score.alive, fixed=score.fixed), name)
    total = Moments()
    scratch = np.empty(len(signed.flags[0]))
    for piece in signed.pieces():
        total = total.merge(_moments_of(piece.keys, piece.alive, scratch))
    return total


def _moments_of(values: Array, alive: Array | None, scratch: Array) -> Moments:
    if alive is not None:
        values = values[alive]
    wide = scratch[: len(values)]
    np.copyto(wide, values)
    count = len(wide)
    if count == 0:
        return Moments()
    mean, square = float(wide.sum()) / count, float(np.dot(wide, wide))
    if mean == -math.inf:
        return _moments_of(values[values > -math.inf], None, scratch)
    squares = square - count * mean * mean
    # Where the mean dominates, the difference has lost digits: take it out first.
    if squares < 0.5 * square:
        wide -= mean
        mean, squares = mean + float(wide.sum()) / count, float(np.dot(wide, wide))
    return Moments(count, mean, squares)


def class_spreads(members: Mapping[str, Scores]) -> dict[str, float]:
    """The standard deviation of each class: a finite number above zero.

    A class with no spread of its own (all values equal, or fewer than two) gets the root mean
    square of its values, and 1 where that is zero too or there are none.

    Raises:
        ValueError: a score holds NaN or infinity.
    """
    return {label: _class_spread(label, scores) for label, scores in members.items()}


def _class_spread(label: str, scores: Scores) -> float:
    total = Moments()
    for name, score in scores.items():
        total = total.merge(moments(score, name))
    if not math.isfinite(total.squares):
        raise ValueError(f"class {label!r} holds infinite values: its spread is not defined.")
    if total.deviation > 0:
        return total.deviation
    return abs(total.mean) or 1.0
