"""Every point against its dense model by paired bootstrap, each pair once in a life."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fairseq_prune.analysis import results
from fairseq_prune.analysis.plain_json import parse
from fairseq_prune.report.bootstrap import SIGNATURE, Comparison, Task, compare_all
from fairseq_prune.report.outputs import Output
from fairseq_prune.report.points import Key, Place, Point, places_of

CACHE = "bootstrap.jsonl"  # beside the results


def dense_points(points: Sequence[Point]) -> dict[Key, Point]:
    """The dense point of each other point: same model, data and seed; one without a seed is for all
    seeds."""
    dense = {(p.model, p.seed): p for p in points if p.stage == "dense"}
    found: dict[Key, Point] = {}
    for point in points:
        base = dense.get((point.model, point.seed)) or dense.get((point.model, ""))
        if point.stage != "dense" and base is not None:
            found[point.key] = base
    return found


def compare(
    points: Sequence[Point], outputs: Mapping[Key, Output], notes: list[str]
) -> dict[Key, Comparison]:
    """Each point that can be compared with its dense one.

    What is computed is kept in ``bootstrap.jsonl`` beside the point's results, by digests of the
    translations and references, and read from there the next time.
    """
    bases = dense_points(points)
    alone = {f"{p.model}, seed {p.seed or '-'}" for p in points
             if p.stage != "dense" and p.key not in bases}  # fmt: skip
    notes += [f"{name} has no dense model: its points are not tested." for name in sorted(alone)]
    pairs = [
        _Pair(p, outputs[p.key], outputs[bases[p.key].key])
        for p in points
        if p.key in outputs and p.key in bases and bases[p.key].key in outputs
    ]
    pairs = [pair for pair in pairs if pair.system.reference.digest == pair.base.reference.digest]
    known = _known({pair.point.folder for pair in pairs})
    found = {pair.point.key: known[name] for pair in pairs if (name := pair.name) in known}
    missing = [pair for pair in pairs if pair.point.key not in found]
    unwritable = set()
    for pair, comparison in _compute(missing):
        found[pair.point.key] = comparison
        try:
            row = dict(zip(("system", "dense", "references", "how"), pair.name, strict=True))
            results.append(pair.point.folder / CACHE, {**row, "found": asdict(comparison)})
        except OSError:
            unwritable.add(str(pair.point.folder))
    notes += [f"{folder} cannot be written to: the tests are made anew for each report."
              for folder in sorted(unwritable)[:1]]  # fmt: skip
    return found


_Name = tuple[str, str, str, str]


@dataclass(frozen=True)
class _Pair:
    point: Point
    system: Output
    base: Output

    @property
    def name(self) -> _Name:
        """What the result depends on."""
        return self.system.digest, self.base.digest, self.system.reference.digest, SIGNATURE


def _compute(pairs: Sequence[_Pair]) -> Iterator[tuple[_Pair, Comparison]]:
    groups: dict[tuple[str, str], list[_Pair]] = {}
    for pair in pairs:
        groups.setdefault((pair.base.digest, pair.base.reference.digest), []).append(pair)
    members = list(groups.values())
    tasks = [
        Task(
            group[0].base.lines,
            [s.reference for s in group[0].base.reference.sentences],
            [pair.system.lines for pair in group],
        )
        for group in members
    ]
    for task, system, comparison in compare_all(tasks):
        yield members[task][system], comparison


def _known(folders: set[Path]) -> dict[_Name, Comparison]:
    known: dict[_Name, Comparison] = {}
    for folder in folders:
        path = folder / CACHE
        lines = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        for line in lines.split("\n"):
            try:
                row: Any = parse(line)
                name = (row["system"], row["dense"], row["references"], row["how"])
                known[name] = _checked(Comparison(**row["found"]))
            except (ValueError, TypeError, KeyError):
                continue  # cut off: it is computed again
    return known


def _checked(found: Comparison) -> Comparison:
    if not all(isinstance(one, int | float) for one in (found.bleu, found.dense, found.p)):
        raise ValueError("no comparison")
    return found


@dataclass(frozen=True)
class Limit:
    """How far one method can go on one model at one stage.

    Args:
        model, stage, scheme: what.
        harmless: the place of the largest sparsity that is not significantly worse than dense, nor
            is any smaller one that was tested; None where the smallest is worse already.
        first_worse: the place of the smallest sparsity that is significantly worse, or None.
    """

    model: str
    stage: str
    scheme: str
    harmless: Place | None
    first_worse: Place | None


def limits(points: Sequence[Point], found: Mapping[Key, Comparison]) -> list[Limit]:
    """The limit of each model, stage and method that has been tested.

    A sparsity counts as worse where at least half of its tested seeds are.
    """
    lines: dict[tuple[str, str, str], dict[Place, bool]] = {}
    for place, members in places_of(points).items():
        tested = [found[p.key].worse for p in members if p.key in found]
        model, stage, scheme, _ = place
        if tested and scheme is not None:
            worse = 2 * sum(tested) >= len(tested)
            lines.setdefault((model, stage, scheme), {})[place] = worse
    made = []
    for (model, stage, scheme), line in lines.items():
        order = sorted(line, key=lambda place: place[3])
        first = next((i for i, place in enumerate(order) if line[place]), len(order))
        harmless = order[first - 1] if first else None
        worse_place = order[first] if first < len(order) else None
        made.append(Limit(model, stage, scheme, harmless, worse_place))
    return made
