"""What seeds have in common: mean and spread of numbers that differ in their seed only."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from fairseq_prune.files.table import number
from fairseq_prune.report.points import Point


@dataclass(frozen=True)
class Spread:
    """A number over seeds.

    Args:
        values: one a seed, ascending; one at least.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The arithmetic mean."""
        return statistics.fmean(self.values)

    @property
    def median(self) -> float:
        """The value in the middle."""
        return statistics.median(self.values)

    @property
    def sd(self) -> float | None:
        """The standard deviation, n - 1 in the denominator; None for one seed."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    def quantile(self, share: float) -> float:
        """By linear interpolation between the values; 0.5 is the median."""
        at = share * (len(self.values) - 1)
        low = self.values[int(at)]
        high = self.values[min(int(at) + 1, len(self.values) - 1)]
        return low + (high - low) * (at - int(at))

    def text(self, digits: int) -> str:
        """The mean, and of several seeds the standard deviation."""
        mean = number(self.mean, digits)
        return mean if self.sd is None else f"{mean} ± {number(self.sd, digits)}"


def spread_of(values: Sequence[float | None]) -> Spread | None:
    """The spread of a number; None without values, or where a seed has none."""
    found = [float(value) for value in values if value is not None]
    if not found or len(found) < len(values):
        return None
    return Spread(tuple(sorted(found)))


def averages(points: Sequence[Point]) -> dict[float, Spread]:
    """The spread of the score for each percentage removed, ascending."""
    groups: dict[float, list[float]] = {}
    for point in points:
        groups.setdefault(point.removed, []).append(point.score)
    return {removed: Spread(tuple(sorted(groups[removed]))) for removed in sorted(groups)}
