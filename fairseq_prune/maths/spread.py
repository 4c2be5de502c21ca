"""The standard deviation of scores, streamed in float64."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fairseq_prune.maths.score import Score, Scores
from fairseq_prune.maths.stream import Array, Reader

# A row of ones stays in the cache, and a chunk has no more rows than that.
_ONES = np.ones(512)


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
    def unit(self) -> float:
        """A finite number above zero to measure these numbers by: their standard deviation.

        Numbers with no spread (all equal, or fewer than two) have the size of that number, and 1
        where it is zero or there is none.
        """
        # Less than this is what rounding leaves of equal values.
        if self.deviation > 1e-14 * abs(self.mean):
            return self.deviation
        return abs(self.mean) or 1.0

    @property
    def deviation(self) -> float:
        """The standard deviation with n - 1; NaN for fewer than two numbers."""
        return math.sqrt(self.squares / (self.count - 1)) if self.count > 1 else math.nan


def moments(score: Score, name: str = "") -> Moments:
    """Moments of the signed values (scale left out) that take part and are alive.

    Raises:
        ValueError: they hold NaN or infinity.
    """
    signed = Score(score.values, alive=score.alive, fixed=score.fixed)
    reader = Reader(signed, name)
    some_gone = not score.absolute  # those of -inf
    count, first, second = _power_sums(reader, 0.0, some_gone)
    if count == 0:
        return Moments()
    if not math.isfinite(second):
        where = f" of {name}" if name else ""
        raise ValueError(f"the score{where} holds NaN or infinity: its spread is not defined.")
    mean = first / count
    squares = second - first * mean
    # Where the mean dominates, the difference has lost digits: take the mean out first.
    if squares < 0.5 * second:
        _, first, second = _power_sums(reader, mean, some_gone)
        mean += first / count
        squares = max(0.0, second - first * (first / count))
    return Moments(count, mean, squares)


def _power_sums(reader: Reader, shift: float, some_gone: bool) -> tuple[int, float, float]:
    """Count, sum and sum of squares, in float64, of what is alive after `shift` is taken off."""
    count, firsts, seconds = 0, [], []
    scratch = np.empty(len(reader.flags[0]))
    for piece in reader.pieces():
        values = piece.keys if piece.alive is None else piece.keys[piece.alive]
        while True:
            wide = scratch[: len(values)]
            np.copyto(wide, values)
            if shift:
                wide -= shift
            second = float(np.dot(wide, wide))
            if second < math.inf or not some_gone or not (values == -math.inf).any():
                break
            values = values[values > -math.inf]
        count += len(wide)
        seconds.append(second)
        firsts.append(_sum(wide))
    return count, math.fsum(firsts), math.fsum(seconds)


def _sum(wide: Array) -> float:
    """The sum of float64 values: as rows times ones, which takes half the time of numpy's sum."""
    rows = len(wide) // len(_ONES)
    body = rows * len(_ONES)
    total = float(np.dot(np.dot(wide[:body].reshape(rows, len(_ONES)), _ONES), _ONES[:rows]))
    return total + float(wide[body:].sum()) if body < len(wide) else total


def class_moments(members: Mapping[str, Scores]) -> dict[str, Moments]:
    """The moments of each class: those of all its tensors together.

    Raises:
        ValueError: a score holds NaN or infinity.
    """
    found = {}
    for label, scores in members.items():
        found[label] = Moments()
        for name, score in scores.items():
            found[label] = found[label].merge(moments(score, name))
    return found
