"""Every point against a dense model by paired bootstrap, each pair once in a life.

What was retrained is tested against the dense model that was trained on for as long, where there is
one: else the training would count as a gain of pruning. The seeds of a place are tested together,
see :mod:`fairseq_prune.report.bootstrap`; p is corrected for all places that are tested (Holm).
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

from fairseq_prune.evaluation import results
from fairseq_prune.evaluation.unknown import count_unknown
from fairseq_prune.files.text import listed
from fairseq_prune.report.bootstrap import (
    LEVEL,
    SIGNATURE,
    Comparison,
    Samples,
    Task,
    compare_all,
    pooled,
)
from fairseq_prune.report.identity import PLACING
from fairseq_prune.report.outputs import Output
from fairseq_prune.report.points import Place, Point, PointKey, places_of

CACHE = "bootstrap.jsonl"  # beside the results


@dataclass
class Comparisons:
    """Comparisons with dense models.

    Args:
        bases: by point, what it is compared with.
        each: by point.
        pooled: by place, over the seeds that were compared.
    """

    bases: Mapping[PointKey, Point]
    each: dict[PointKey, Comparison] = field(default_factory=dict)
    pooled: dict[Place, Comparison] = field(default_factory=dict)

    def without(self, spoilt: Set[PointKey]) -> "Comparisons":
        """The same without some points, and without the places that they are of."""
        places = {key[:4] for key in spoilt}
        return Comparisons(
            self.bases,
            {key: found for key, found in self.each.items() if key not in spoilt},
            {place: found for place, found in self.pooled.items() if place not in places},
        )

    @cached_property
    def corrected(self) -> dict[Place, float]:
        """Holm's p of each place, among all that are tested."""
        return dict(zip(self.pooled, holm([c.p for c in self.pooled.values()]), strict=True))


def holm(p: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm 1979), in the same order.

    Rejecting those below a level then rejects a true null hypothesis with at most that chance,
    however the tests depend on each other.
    """
    found, largest = [0.0] * len(p), 0.0
    for rank, i in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        largest = max(largest, min(1.0, (len(p) - rank) * p[i]))
        found[i] = largest
    return found


def base_points(points: Sequence[Point], notes: list[str]) -> dict[PointKey, Point]:
    """What each point is tested against: see :attr:`~fairseq_prune.study.stages.Stage.against`.

    All seeds of a place against the same: where some lack the dense model that was trained on, all
    are tested against the dense one, and ``notes`` are told.
    """
    found = dense_points(points)
    trained_on = {(p.model, p.stage) for p in points}
    lacking: dict[str, set[str]] = {}
    for (model, *_), members in places_of(points).items():
        bases = {p.key: base for p in members if (base := _trained_on(p, points)) is not None}
        if len(bases) == len(members):
            found |= bases
        elif (model, members[0].kind.against) in trained_on:
            lacking.setdefault(model, set()).update(p.seed for p in members if p.key not in bases)
    notes += [
        f"{model} has none or several dense models that were trained on for seed "
        f"{listed(sorted(seeds), 5)}: what was retrained with that seed and others is tested "
        "against the dense models, which were trained for less long."
        for model, seeds in lacking.items()
    ]
    return found


def _trained_on(point: Point, points: Sequence[Point]) -> Point | None:
    if not point.kind.against:
        return None
    stage = point.kind.against
    return _likely(point, [p for p in points if (p.model, p.stage) == (point.model, stage)])


def dense_points(points: Sequence[Point]) -> dict[PointKey, Point]:
    """The dense point of each other point that has one.

    It is the one that the point's file came by; where the file does not say, that of the point's
    seed, else one without a seed, and of several the one of the same tags. A point of which this
    leaves several has none.
    """
    every = [p for p in points if p.kind.is_dense]
    found: dict[PointKey, Point] = {}
    for point in points:
        if point.kind.is_dense:
            continue
        mine = [p for p in every if p.model == point.model]
        if (base := _came_by(point, mine) or _likely(point, mine)) is not None:
            found[point.key] = base
    return found


def _came_by(point: Point, dense: Sequence[Point]) -> Point | None:
    by_digest = {p.row.get("sha256"): p for p in dense}
    sources = point.row.get("sources") or []
    return next((by_digest[source] for source in sources if source in by_digest), None)


def _likely(point: Point, dense: Sequence[Point]) -> Point | None:
    mine = [p for p in dense if p.seed == point.seed] or [p for p in dense if not p.seed]
    if len(mine) > 1:
        mine = [p for p in mine if _tags(p) == _tags(point)]
    return mine[0] if len(mine) == 1 else None


def _tags(point: Point) -> dict[str, str]:
    tags = point.row.get("tags") or {}
    return {name: value for name, value in tags.items() if name not in PLACING}


def _untested(points: Sequence[Point], bases: Mapping[PointKey, Point]) -> list[str]:
    """A sentence on each model and seed whose points have no dense one."""
    alone: dict[tuple[str, str], int] = {}
    for point in points:
        if not point.kind.is_dense and point.key not in bases:
            place = point.model, point.seed
            alone[place] = alone.get(place, 0) + 1
    made = []
    for (model, seed), count in sorted(alone.items()):
        mine = [p for p in points if p.model == model and p.kind.is_dense and p.seed in (seed, "")]
        name = f"{model}, seed {seed}" if seed else f"{model}, without --tag seed,"
        if not mine:
            made.append(f"{name} has no dense model: its points are not tested.")
            continue
        names = listed([str(p.scheme or p.row.get("checkpoint")) for p in mine], 3)
        made.append(
            f"{name} has {len(mine)} dense models ({names}), and {count} of its points do not say "
            "which of them they came by: they are not tested; give --tag stage=dense to one alone, "
            "or each its own --tag as its points have."
        )
    return made


def with_dense(
    points: Sequence[Point], outputs: Mapping[PointKey, Output], notes: list[str]
) -> Comparisons:
    """Each point against a dense one, as far as they can be compared."""
    bases = base_points(points, notes)
    notes += _untested(points, bases)
    return compare(points, outputs, bases, notes)


def compare(
    points: Sequence[Point],
    outputs: Mapping[PointKey, Output],
    bases: Mapping[PointKey, Point],
    notes: list[str],
) -> Comparisons:
    """Each point against its base, and the seeds of each place together.

    What is computed is kept in ``bootstrap.jsonl`` beside the point's results, by digests of the
    translations and references, and read from there the next time.
    """
    pairs = {
        p.key: _Pair(p, outputs[p.key], outputs[bases[p.key].key])
        for p in points
        if p.key in outputs and p.key in bases and bases[p.key].key in outputs
    }
    pairs = {k: pair for k, pair in pairs.items() if pair.has_one_reference}
    known = _known({pair.point.folder for pair in pairs.values()})
    groups = _groups(points, pairs)
    wanted = {place: _name_of(group) for place, group in groups.items() if len(group) > 1}
    found = Comparisons(
        bases,
        {key: known[pair.name] for key, pair in pairs.items() if pair.name in known},
        {place: known[name] for place, name in wanted.items() if name in known},
    )
    anew = {k for place in wanted if place not in found.pooled for k in groups[place]}
    missing = [pair for key, pair in pairs.items() if key not in found.each or key in anew]
    _measure(missing, groups, found, notes)
    return found


def _measure(
    missing: Sequence["_Pair"],
    groups: Mapping[Place, Mapping[PointKey, "_Pair"]],
    found: Comparisons,
    notes: list[str],
) -> None:
    """Compute what is missing, and keep it beside the results."""
    keeper = _Keeper()
    samples: dict[PointKey, Samples] = {}
    waiting = {key: place for place, group in groups.items() if len(group) > 1 for key in group}
    for pair, one in _compute(missing):
        key = pair.point.key
        if key not in found.each:
            found.each[key] = one.comparison
            keeper.keep(pair.point.folder, pair.name, one.comparison)
        place = waiting.get(key)
        if place is None or place in found.pooled:
            continue
        samples[key] = one
        group = groups[place]
        if all(k in samples for k in group):
            found.pooled[place] = pooled([samples.pop(k) for k in group])
            keeper.keep(pair.point.folder, _name_of(group), found.pooled[place])
    for place, group in groups.items():
        if len(group) == 1:
            found.pooled[place] = found.each[next(iter(group))]
    for folder in sorted(keeper.unwritable)[:1]:
        note = f"{folder} cannot be written to: the tests are made anew for each report."
        notes += [note] if note not in notes else []


_Name = tuple[str, str, str, str]
_NAMES = ("system", "dense", "references", "how")  # of the parts, in files


@dataclass(frozen=True)
class _Pair:
    point: Point
    system: Output
    base: Output

    @property
    def has_one_reference(self) -> bool:
        return self.system.reference.digest == self.base.reference.digest

    @cached_property
    def name(self) -> _Name:
        """What the result depends on."""
        references = [s.reference for s in self.system.reference.sentences]
        unknown = count_unknown([*self.system.lines, *self.base.lines, *references])
        # older versions kept results in which these were matches
        how = f"{SIGNATURE}|unknown:unmatched" if unknown else SIGNATURE
        return self.system.digest, self.base.digest, self.system.reference.digest, how


class _Keeper:
    """Writes results down, and remembers where that fails."""

    def __init__(self) -> None:
        self.unwritable: set[str] = set()

    def keep(self, folder: Path, name: _Name, comparison: Comparison) -> None:
        try:
            row = dict(zip(_NAMES, name, strict=True))
            results.append(folder / CACHE, {**row, "found": asdict(comparison)})
        except OSError:
            self.unwritable.add(str(folder))


def _groups(
    points: Sequence[Point], pairs: Mapping[PointKey, _Pair]
) -> dict[Place, dict[PointKey, _Pair]]:
    """The pairs of each place, one a seed, on the references of the first."""
    found = {}
    for place, members in places_of(points).items():
        mine = {p.key: pairs[p.key] for p in members if p.key in pairs}
        first = next((pair.system.reference.digest for pair in mine.values()), None)
        mine = {k: pair for k, pair in mine.items() if pair.system.reference.digest == first}
        if mine:
            found[place] = mine
    return found


def _name_of(group: Mapping[PointKey, _Pair]) -> _Name:
    """What a pooled result depends on."""
    names = [pair.name for pair in group.values()]
    systems, bases = ("+".join(name[i] for name in names) for i in (0, 1))
    return systems, bases, names[0][2], names[0][3]


def _compute(pairs: Sequence[_Pair]) -> Iterator[tuple[_Pair, Samples]]:
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
    for task, system, samples in compare_all(tasks):
        yield members[task][system], samples


def _known(folders: set[Path]) -> dict[_Name, Comparison]:
    known: dict[_Name, Comparison] = {}
    for row in (row for folder in folders for row in results.kept(folder / CACHE)):
        try:
            system, base, references, how = (row[name] for name in _NAMES)
            known[system, base, references, how] = _checked(Comparison(**row["found"]))
        except (ValueError, TypeError, KeyError):
            continue  # of an earlier version, or damaged: it is computed again
    return known


def _checked(found: Comparison) -> Comparison:
    if not all(isinstance(one, int | float) for one in vars(found).values()):
        raise ValueError("no comparison")
    return found


def verdict(found: Comparison, corrected: float, against: str) -> str:
    """What a test shows, with its direction.

    Args:
        corrected: Holm's p.
        against: what it was tested against.
    """
    if found.difference == 0 or found.p >= LEVEL:
        return f"no difference to {against} shown"
    way = "better" if found.difference > 0 else "worse"
    return f"{way} than {against}{'' if corrected < LEVEL else ', not by the corrected p'}"


@dataclass(frozen=True)
class Limit:
    """How far one method can go on one model at one stage.

    Args:
        model, stage, scheme: what.
        harmless: the place of the largest sparsity that is not significantly worse, nor is any
            smaller one that was tested, by p as it is: corrected for many tests, less would count
            as worse. None where the smallest is worse already.
        first_worse: the place of the smallest sparsity that is significantly worse by the corrected
            p, or None.
        tested: a place of it that was tested.
    """

    model: str
    stage: str
    scheme: str
    harmless: Place | None
    first_worse: Place | None
    tested: Place


def limits(points: Sequence[Point], tests: Comparisons) -> list[Limit]:
    """The limit of each model, stage and method that has been tested.

    A sparsity is worse where the mean over its seeds is, significantly.
    """
    lines: dict[tuple[str, str, str], list[Place]] = {}
    for place in places_of(points):
        model, stage, scheme, _ = place
        if place in tests.pooled and scheme is not None:
            lines.setdefault((model, stage, scheme), []).append(place)
    made = []
    for (model, stage, scheme), line in lines.items():
        line.sort(key=lambda place: place[3])
        found = [tests.pooled[place] for place in line]
        maybe = next((i for i, one in enumerate(found) if one.worse), len(line))
        surely = (place for place in line if tests.pooled[place].worse_at(tests.corrected[place]))
        harmless = line[maybe - 1] if maybe else None
        made.append(Limit(model, stage, scheme, harmless, next(surely, None), line[0]))
    return made
