"""How much to remove of each class: a total shared out where it is predicted to cost least.

Each class has a curve of what removing so many of its weights cost when nothing else was pruned.
The prediction for all classes together is the sum of theirs: cost is meant to be log-perplexity
(bits a token), of which sums make sense, and perplexity itself does not. Interactions are not seen.

Between measured points a curve is taken to be straight, and only its lower convex hull counts: a
point above the line between two others is noise, or a plateau that nobody should stop on. On
convex curves the best way to share a total out is greedy: the cheapest weight first (equal slopes,
Lagrange multipliers without a search). It is exact, in rational numbers, and ties go to the earlier
class; at most one class ends inside of a segment, the others at points that were measured.
"""

from collections.abc import Iterable, Mapping
from fractions import Fraction

Trade = tuple[int, float]  # how many are removed, what it costs
Corner = tuple[int, Fraction]


def lower_hull(points: Iterable[Trade]) -> list[Corner]:
    """The corners of the lower convex hull, from no weights removed at no cost on.

    Of several costs of the same count the least is taken.
    """
    least: dict[int, Fraction] = {}
    for removed, cost in points:
        least[removed] = min(Fraction(cost), least.get(removed, Fraction(cost)))
    least[0] = Fraction(0)
    hull: list[Corner] = []
    for corner in sorted(least.items()):
        while len(hull) > 1 and _slope(hull[-2], hull[-1]) >= _slope(hull[-1], corner):
            hull.pop()
        hull.append(corner)
    return hull


def share_out(curves: Mapping[str, Iterable[Trade]], total: int) -> dict[str, int]:
    """How many to remove of each class so that it is `total` in all, at the least predicted cost.

    Args:
        curves: the measured points of each class, in any order.

    Raises:
        ValueError: `total` is more than the last points of all curves come to, or negative.
    """
    hulls = {label: lower_hull(points) for label, points in curves.items()}
    most = sum(hull[-1][0] for hull in hulls.values())
    if not 0 <= total <= most:
        raise ValueError(f"`total` must be at least 0 and at most {most}, but is {total}.")
    steps = [
        (_slope(left, right), order, right[0] - left[0], label)
        for order, (label, hull) in enumerate(hulls.items())
        for left, right in zip(hull, hull[1:], strict=False)
    ]
    removed = dict.fromkeys(hulls, 0)
    for _, _, room, label in sorted(steps, key=lambda step: step[:2]):
        taken = min(room, total)
        removed[label] += taken
        total -= taken
    return removed


def cost_of(points: Iterable[Trade], removed: int) -> float:
    """The predicted cost of removing so many, at most the last point's."""
    hull = lower_hull(points)
    for left, right in zip(hull, hull[1:], strict=False):
        if removed <= right[0]:
            return float(left[1] + (removed - left[0]) * _slope(left, right))
    return float(hull[-1][1])


def _slope(left: Corner, right: Corner) -> Fraction:
    return (right[1] - left[1]) / (right[0] - left[0])
