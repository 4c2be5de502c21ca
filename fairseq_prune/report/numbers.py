"""What a report says in numbers beyond the scores: measured once, shown in several ways."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fairseq_prune.report.bootstrap import Comparison
from fairseq_prune.report.changes import Change, changes
from fairseq_prune.report.degenerate import Judge, Shares
from fairseq_prune.report.outputs import Output, read_outputs
from fairseq_prune.report.points import STAGES, Key, Place, Point
from fairseq_prune.report.significance import Limit, compare, dense_points, limits

EXACT = 1e-6  # BLEU of the translations on disk and that of the row are the same number


@dataclass(frozen=True)
class Numbers:
    """All of it.

    Args:
        points: sorted, as :func:`~fairseq_prune.report.points.read_points` gives them.
        outputs: translations of the points that have them.
        comparisons: of the points that could be compared with their dense one.
        shares: of degenerate outputs.
        limits: how far each method goes.
        notes: what is missing, a sentence each.
    """

    points: Sequence[Point]
    outputs: Mapping[Key, Output]
    comparisons: Mapping[Key, Comparison]
    shares: Mapping[Key, Shares]
    limits: Sequence[Limit]
    notes: Sequence[str]


def measure(points: Sequence[Point]) -> Numbers:
    """Read and compare; what is missing goes into the notes, and the rest is used."""
    notes: list[str] = []
    outputs = read_outputs(points, notes)
    found = compare(points, outputs, notes)
    for key in _strangers(points, found, notes):
        outputs.pop(key, None)
        found.pop(key, None)
    odd = _shares(outputs)
    return Numbers(points, outputs, found, odd, limits(points, found), notes)


def _shares(outputs: Mapping[Key, Output]) -> dict[Key, Shares]:
    sets = {output.reference.name: output.reference for output in outputs.values()}
    judges = {name: Judge(reference) for name, reference in sets.items()}
    return {key: judges[o.reference.name].shares(o.lines) for key, o in outputs.items()}


def _strangers(
    points: Sequence[Point], found: Mapping[Key, Comparison], notes: list[str]
) -> set[Key]:
    """Points whose translations, or their dense model's, are not those that their row scored."""
    bases = dense_points(points)
    wrong: dict[Key, Point] = {}
    spoilt: set[Key] = set()
    for point in points:
        if (comparison := found.get(point.key)) is None:
            continue
        base = bases[point.key]
        for one, bleu in ((point, comparison.bleu), (base, comparison.dense)):
            if abs(bleu - one.bleu) > EXACT:
                wrong[one.key] = one
                spoilt |= {one.key, point.key}
    if wrong:
        first = next(iter(wrong.values()))
        notes.append(
            f"The translations of {len(wrong)} rows do not give their BLEU, {first.folder}/"
            f"{first.row.get('hypotheses')} first: they are left out, and so are the tests with "
            "them."
        )
    return spoilt


@dataclass(frozen=True)
class Column:
    """A point that tables of parts of the test set show, with its label."""

    label: str
    point: Point


def chosen(numbers: Numbers, model: str) -> list[Column]:
    """Of a model: dense, and of each stage the last harmless sparsity and the first worse one.

    Of the method class-blind where the stage has it, else of the first; of the first seed. Empty
    where no pruned point was tested.
    """
    bases = dense_points(numbers.points)
    tested = [p for p in numbers.points if p.model == model and p.key in numbers.comparisons]
    if not tested:
        return []
    dense = bases[tested[0].key]
    columns = [Column("dense", dense)]
    for stage in list(STAGES)[1:]:
        for place in _places(numbers.limits, model, stage):
            mine = [p for p in tested if p.place == place and bases[p.key] is dense]
            columns += [Column(f"{STAGES[stage]}, {p.scheme}, {p.removed:g}%", p) for p in mine[:1]]
    return columns


def _places(found: Sequence[Limit], model: str, stage: str) -> list[Place]:
    mine = [limit for limit in found if (limit.model, limit.stage) == (model, stage)]
    mine = [limit for limit in mine if limit.scheme == "class-blind"] or mine
    return [p for limit in mine[:1] for p in (limit.harmless, limit.first_worse) if p is not None]


def example(numbers: Numbers, model: str) -> tuple[Column, list[Change]] | None:
    """The column of :func:`chosen` to look at, and its sentences that changed most.

    It is the sparsest retrained one; where there is none, a ticket, sparse from the beginning, or
    pruned one. None where no point was tested.
    """
    columns = chosen(numbers, model)
    for stage in ("retrained", "ticket", "scratch", "pruned"):
        mine = [column for column in columns if column.point.stage == stage]
        if mine:
            dense, pruned = columns[0].point.key, mine[-1].point.key
            return mine[-1], changes(numbers.outputs[dense], numbers.outputs[pruned])
    return None
