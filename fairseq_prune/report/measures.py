"""What a report says in numbers beyond the scores: measured once, shown in several ways."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from fairseq_prune.evaluation.subwords import JOINED_BY, missing_join, subwords_in
from fairseq_prune.evaluation.unknown import count_unknown
from fairseq_prune.files.text import listed
from fairseq_prune.report.degenerate import Faults, Judge, flags
from fairseq_prune.report.outputs import NAMED, Output, read_outputs
from fairseq_prune.report.points import Place, Point, PointKey
from fairseq_prune.report.significance import Comparisons, Limit, limits, with_dense
from fairseq_prune.report.sized import Match, matches

EXACT = 1e-6  # BLEU of the translations on disk and that of the row are the same number


@dataclass(frozen=True)
class Measures:
    """All of it.

    Args:
        points: sorted, as :func:`~fairseq_prune.report.points.read_points` gives them.
        outputs: translations of the points that have them.
        tests: of the points that could be compared with a dense one, and of their places.
        faults: of the outputs.
        limits: how far each method goes.
        sized: pruned models beside dense ones of their size.
        notes: what is missing, a sentence each.
    """

    points: Sequence[Point]
    outputs: Mapping[PointKey, Output]
    tests: Comparisons
    faults: Mapping[PointKey, Faults]
    limits: Sequence[Limit]
    sized: Sequence[Match]
    notes: Sequence[str]

    @cached_property
    def flagged(self) -> dict[Place, str]:
        """What is odd about the outputs of each place."""
        return flags(self.points, self.faults)


def measure(points: Sequence[Point]) -> Measures:
    """Read and compare; what is missing goes into the notes, and the rest is used."""
    notes: list[str] = []
    outputs = read_outputs([p for p in points if p.has_text], notes)
    _note_credited(points, outputs, notes)
    _note_subwords(outputs, notes)
    tests = with_dense(points, outputs, notes)
    strange = _strangers(points, tests, notes)
    tests = tests.without(strange)
    outputs = {key: output for key, output in outputs.items() if key not in strange}
    away = limits(points, tests)
    sized = matches(points, outputs, notes)
    return Measures(points, outputs, tests, _faults(outputs), away, sized, notes)


def _note_credited(
    points: Sequence[Point], outputs: Mapping[PointKey, Output], notes: list[str]
) -> None:
    """Say of which rows BLEU and chrF are those of older versions, too high by unknown words."""
    names = [
        str(p.folder / str(p.row.get("hypotheses")))
        for p in points
        if "unknown_words" not in p.row and p.key in outputs
        and count_unknown(outputs[p.key].lines)
    ]  # fmt: skip
    if names:
        notes.append(
            f"An older version scored {listed(names, NAMED)}, and took the letters of <unk> for "
            "matches: BLEU and chrF in these rows are too high; run fairseq-prune evaluate again."
        )


def _note_subwords(outputs: Mapping[PointKey, Output], notes: list[str]) -> None:
    """Say where most translations are in subwords still."""
    marks = [subwords_in(output.lines, 0.5) for output in outputs.values()]
    for mark in JOINED_BY:
        if mark in marks:
            notes.append(
                f"Of {marks.count(mark)} models the translations are in subwords ({mark}), so "
                + missing_join(mark)
            )


def _faults(outputs: Mapping[PointKey, Output]) -> dict[PointKey, Faults]:
    sets = {output.reference.name: output.reference for output in outputs.values()}
    judges = {name: Judge(reference) for name, reference in sets.items()}
    return {key: judges[o.reference.name].faults(o.lines) for key, o in outputs.items()}


def _strangers(points: Sequence[Point], tests: Comparisons, notes: list[str]) -> set[PointKey]:
    """Points whose translations, or their dense model's, are not those that their row scored."""
    wrong: dict[PointKey, Point] = {}
    spoilt: set[PointKey] = set()
    for point in points:
        if (comparison := tests.each.get(point.key)) is None:
            continue
        base = tests.bases[point.key]
        for one, bleu in ((point, comparison.bleu), (base, comparison.base)):
            if abs(bleu - one.score) > EXACT:
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
