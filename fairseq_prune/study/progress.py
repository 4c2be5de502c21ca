"""What a study has cost so far, and what is left of it."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from fairseq_prune.files.text import last_lines
from fairseq_prune.study.folder import Folder
from fairseq_prune.study.point import Point
from fairseq_prune.study.stages import STAGES

# in any of fairseq's --log-format
_FAR = {
    "update": re.compile(r"num_updates\W+(\d+)"),
    "epoch": re.compile(r"\bepoch\W+(\d+)"),
}
Kind = tuple[str, str, str]


def kind_of(point: Point) -> Kind:
    """Points of a kind cost the same for a unit of work."""
    return point.work[0], point.model, point.data


@dataclass
class _Mean:
    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        self.total, self.count = self.total + value, self.count + 1

    @property
    def value(self) -> float:
        return self.total / self.count


class Costs:
    """Seconds for a unit of work, and for an evaluation, by what has been finished."""

    def __init__(self) -> None:
        self.making: dict[Kind, _Mean] = {}
        self.evaluating: dict[tuple[str, str], _Mean] = {}

    def add(self, point: Point, folder: Folder) -> None:
        """Learn from a point, if its folder says that it is made, or evaluated."""
        made, done = folder.read("made"), folder.read("done")
        if made is not None and made.get("seconds") is not None:
            self.making.setdefault(kind_of(point), _Mean()).add(made["seconds"] / point.work[1])
        if done is not None and "seconds" in done and STAGES[point.stage].evaluated:
            kind = point.model, point.data
            self.evaluating.setdefault(kind, _Mean()).add(done["seconds"])

    def seconds(self, point: Point) -> float | None:
        """What a point costs on one slot; None where nothing like it has been finished."""
        rate = self.making.get(kind_of(point))
        scoring = self.evaluating.get((point.model, point.data))
        if not STAGES[point.stage].evaluated:  # it scores what it makes
            scoring = _Mean(0.0, 1)
        if rate is None or scoring is None:
            return None
        return rate.value * point.work[1] + scoring.value


def costs_of(points: Iterable[Point], folders: Mapping[str, Folder]) -> Costs:
    """The costs that the finished points have had."""
    costs = Costs()
    for point in points:
        costs.add(point, folders[point.name])
    return costs


def longest_first(points: Iterable[Point], costs: Costs) -> list[Point]:
    """The points in the order in which to start them, those that can: seed after seed, and of a
    seed those first on which the longest work waits, so that no slot ends long before the others.

    What has no known cost counts nothing; equals stay in order.
    """
    points = list(points)
    after: dict[str, float] = {}  # by point, seconds from its start to the end of all that needs it
    # what needs others stands after them
    for point in reversed(points):
        seconds = (costs.seconds(point) or 0.0) + after.get(point.name, 0.0)
        after[point.name] = seconds
        if point.needs is not None:
            after[point.needs.name] = max(after.get(point.needs.name, 0.0), seconds)
    return sorted(points, key=lambda point: (point.seed or 0, -after[point.name]))


def time_left(
    points: Collection[Point], costs: Costs, slots: int, spent: Mapping[str, float] | None = None
) -> tuple[float, int]:
    """Seconds until these points are done on ``slots`` slots, and how many points it leaves out,
    because nothing like them has been finished.

    Args:
        spent: seconds that points which run have behind them, by name.
    """
    found = [(costs.seconds(point), (spent or {}).get(point.name, 0.0)) for point in points]
    known = [max(0.0, seconds - behind) for seconds, behind in found if seconds is not None]
    # no sooner than the longest of them
    shared = sum(known) / max(1, min(slots, len(points)))
    return max(shared, *known, 0.0), len(found) - len(known)


def how_far(point: Point, folder: Folder) -> str:
    """How far a training is, by fairseq's log: "update 300 of 1060"; "" where none tells."""
    if point.training is None:
        return ""
    unit, length = point.training.length
    for line in reversed(last_lines(folder.path / "train.log", 40)):
        found = _FAR[unit].search(line)
        if found is not None:
            return f"{unit} {int(found[1])} of {length:g}"
    return ""


def in_words(seconds: float) -> str:
    """A duration for people."""
    minutes, hours = seconds / 60, seconds / 3600
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes:.0f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"
