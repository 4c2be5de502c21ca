"""What seeds have in common: mean and spread of the points that differ in their seed only."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from fairseq_prune.report.points import Point


@dataclass(frozen=True)
class Average:
    """BLEU over seeds at one place.

    Args:
        removed: percent of the weights.
        bleus: one a seed, ascending.
    """

    removed: float
    bleus: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The arithmetic mean."""
        return statistics.fmean(self.bleus)

    @property
    def sd(self) -> float:
        """The standard deviation, n - 1 in the denominator; 0 for one seed."""
        return statistics.stdev(self.bleus) if len(self.bleus) > 1 else 0.0

    def quantile(self, share: float) -> float:
        """By linear interpolation between the values; 0.5 is the median."""
        at = share * (len(self.bleus) - 1)
        low = self.bleus[int(at)]
        high = self.bleus[min(int(at) + 1, len(self.bleus) - 1)]
        return low + (high - low) * (at - int(at))


def averages(points: Sequence[Point]) -> list[Average]:
    """One average for each percentage removed, ascending."""
    groups: dict[float, list[float]] = {}
    for point in points:
        groups.setdefault(point.removed, []).append(point.bleu)
    return [Average(removed, tuple(sorted(groups[removed]))) for removed in sorted(groups)]
