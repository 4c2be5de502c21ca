"""The standard deviation of scores, streamed in float64."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

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
    """Moments of the signed values (scale left out) that take part and are alive.

    Raises:
        ValueError: they hold NaN or +inf.
    """
    signed = Score(score.values, alive=score.alive, fixed=score.fixed)
    reader = Reader(signed, name, accept_any=True)
    total = Moments()
    scratch = torch.empty(len(reader.flags[0]), dtype=torch.float64)
    for piece in reader.pieces():
        values = piece.keys if piece.alive is None else piece.keys[piece.alive]
        part = _moments_of(values, scratch)
        if not math.isfinite(part.squares):
            part = _moments_of(values[values != -math.inf], scratch)
        if not math.isfinite(part.squares):
            where = f" of {name}" if name else ""
            raise ValueError(f"the score{where} holds NaN or infinity: its spread is not defined.")
        total = total.merge(part)
    return total


def _moments_of(values: Array, scratch: Tensor) -> Moments:
    """Moments of float32 or float64 values: (n,), with float64 scratch for as many."""
    count = len(values)
    if count == 0:
        return Moments()
    wide = scratch[:count]
    floats = wide.numpy()
    np.copyto(floats, values)
    # torch sums a chunk in half of numpy's time, and numpy casts and multiplies faster.
    mean, square = float(wide.sum()) / count, float(np.dot(floats, floats))
    squares = square - count * mean * mean
    # Where the mean dominates, the difference has lost digits: take the mean out first.
    if squares < 0.5 * square:
        floats -= mean
        rest = float(wide.sum()) / count
        squares = max(0.0, float(np.dot(floats, floats)) - count * rest * rest)
        mean += rest
    return Moments(count, mean, squares)


def class_spreads(members: Mapping[str, Scores]) -> dict[str, float]:
    """The standard deviation of each class: a finite number above zero.

    A class with no spread of its own (all values equal, or fewer than two) gets the size of that
    value, and 1 where it is zero or there is none.

    Raises:
        ValueError: a score holds NaN or infinity.
    """
    return {label: _class_spread(scores) for label, scores in members.items()}


def _class_spread(scores: Scores) -> float:
    total = Moments()
    for name, score in scores.items():
        total = total.merge(moments(score, name))
    if total.deviation > 0:
        return total.deviation
    return abs(total.mean) or 1.0
