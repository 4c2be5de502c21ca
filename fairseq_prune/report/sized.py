"""Pruned models beside dense ones of the same size (Blalock et al. 2020): is it worth to prune?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fairseq_prune.report.outputs import Output
from fairseq_prune.report.points import (
    Place,
    Point,
    PointKey,
    multiply_adds_of,
    places_of,
    times_less,
    weights_of,
)
from fairseq_prune.report.significance import Comparisons, compare

NEAR = 0.02  # so much more than the dense one a pruned model may have, and count as having as much
SHARED: Mapping[str, Callable[[Point], float | None]] = {
    "weights": weights_of,
    "multiply-adds": multiply_adds_of,
}


@dataclass(frozen=True)
class Match:
    """A dense model of another size, and what was pruned and trained to no more than it has.

    Args:
        small: its points, one a seed.
        shared: a key of SHARED, what they have no more of.
        found: of each stage and scheme the place that has most of it.
        tests: of these against the small one of their seed.
    """

    small: Sequence[Point]
    shared: str
    found: Mapping[Place, Sequence[Point]]
    tests: Comparisons


def matches(
    points: Sequence[Point], outputs: Mapping[PointKey, Output], notes: list[str]
) -> list[Match]:
    """For each dense model of another size, and each of SHARED, what can stand beside it."""
    places = places_of(points)
    made = []
    for small in (members for members in places.values() if members[0].kind.sized):
        for shared, of in SHARED.items():
            found = _beside(points, places, small, of)
            if not found:
                continue
            mine = [point for members in found.values() for point in members]
            seeds = {p.seed: p for p in small}
            bases = {p.key: seeds[p.seed] for p in mine if p.seed in seeds}
            made.append(Match(small, shared, found, compare(mine, outputs, bases, notes)))
    return made


def _beside(
    points: Sequence[Point],
    places: Mapping[Place, Sequence[Point]],
    small: Sequence[Point],
    of: Callable[[Point], float | None],
) -> dict[Place, Sequence[Point]]:
    least = times_less(points, small, of)
    if least is None:
        return {}
    best: dict[tuple[str, str | None], tuple[float, Place]] = {}
    for place, members in places.items():
        kind = members[0].kind
        times = times_less(points, members, of)
        if place[0] != small[0].model or not (kind.removes and kind.trained) or times is None:
            continue
        if times * (1 + NEAR) < least:
            continue
        line = place[1], place[2]
        if line not in best or times < best[line][0]:
            best[line] = times, place
    return {place: places[place] for _, place in best.values()}
