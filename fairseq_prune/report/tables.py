"""Tables of points: all numbers of every place, and BLEU at a glance."""

import statistics
from collections.abc import Mapping, Sequence

from fairseq_prune.analysis import results
from fairseq_prune.analysis.table import Table, number
from fairseq_prune.report.points import (
    STAGES,
    Place,
    Point,
    models_of,
    places_of,
    schemes_of,
    spread_of,
)

# header, entry of a results row, digits
NUMBERS = (
    ("BLEU", "bleu", 2),
    ("chrF", "chrf", 2),
    ("valid ppl", "valid_ppl", 2),
    ("test ppl", "test_ppl", 2),
    ("brevity penalty", "brevity_penalty", 3),
    ("length ratio", "length_ratio", 3),
)
# where a row has them: evaluate --text
TOKENIZED = (
    ("tokenized BLEU", "tokenized_bleu", 2),
    ("tokenized BLEU, compounds split", "tokenized_bleu_split", 2),
)


def _numbers(points: Sequence[Point]) -> list[tuple[str, str, int]]:
    there = [n for n in TOKENIZED if any(p.row.get(n[1]) is not None for p in points)]
    return [NUMBERS[0], *there, *NUMBERS[1:]]


def full_table(points: Sequence[Point], flags: Mapping[Place, str] | None = None) -> Table:
    """One row a point, or one for the seeds of a place where a place has several.

    Where it has, numbers are means over seeds, and BLEU has its standard deviation and median.

    Args:
        points: to be shown.
        flags: what is odd about a place's outputs, a column of its own where anything is.
    """
    places, flags = places_of(points), flags or {}
    seeds = any(len(members) > 1 for members in places.values())
    flagged = any(flags.get(place) for place in places)
    table = [["model", "stage", "scheme", "removed", *(["seeds"] if seeds else [])]]
    numbers = _numbers(points)
    for header, _, _ in numbers:
        table[0] += [header, *(["BLEU sd", "BLEU median"] if seeds and header == "BLEU" else [])]
    table[0] += ["outputs"] if flagged else []
    for (model, stage, scheme, _), members in places.items():
        sparsity = statistics.fmean(float(p.row["sparsity"]) for p in members)
        cells = [model, STAGES[stage], scheme or "-", f"{100 * sparsity:.2f}%"]
        cells += [str(len(members))] if seeds else []
        for header, entry, digits in numbers:
            values = [p.row.get(entry) for p in members]
            cells += _spread(values, digits)[: 3 if seeds and header == "BLEU" else 1]
        table.append(cells + ([flags.get(members[0].place, "")] if flagged else []))
    return table


def _spread(values: Sequence[float | None], digits: int) -> list[str]:
    spread = spread_of(values)
    found = (spread.mean, spread.sd, spread.median) if spread else (None, None, None)
    return [number(value, digits) for value in found]


def point_table(points: Sequence[Point]) -> Table:
    """One row a point, seeds apart."""
    numbers = _numbers(points)
    head = ["model", "stage", "scheme", "removed", "seed", *(header for header, _, _ in numbers)]
    return [
        head,
        *(
            [
                p.model, STAGES[p.stage], p.scheme or "-", f"{100 * p.row['sparsity']:.2f}%",
                p.seed, *(number(p.row.get(entry), digits) for _, entry, digits in numbers),
            ]
            for p in points
        ),
    ]  # fmt: skip


def glance(points: Sequence[Point], model: str) -> Table:
    """BLEU of one model: a row for each stage and scheme, a column for each percentage removed.

    Over several seeds: mean ± standard deviation.
    """
    mine = [p for p in points if p.model == model]
    percents = sorted({p.removed for p in mine if p.stage != "dense"})
    places = places_of(mine)
    table = [[f"{model}: BLEU at % removed", "0", *(f"{percent:g}" for percent in percents)]]
    dense = [p for p in mine if p.stage == "dense"]
    if dense:
        table.append(["dense", _bleu(dense), *("" for _ in percents)])
    for stage in list(STAGES)[1:]:
        for scheme in schemes_of(p for p in mine if p.stage == stage):
            cells = [_bleu(places.get((model, stage, scheme, p), [])) for p in percents]
            table.append([f"{STAGES[stage]}, {scheme}", "", *cells])
    return table


def _bleu(points: Sequence[Point]) -> str:
    spread = spread_of([p.bleu for p in points])
    if spread is None:
        return ""
    return number(spread.mean, 2) + ("" if spread.sd is None else f" ± {number(spread.sd, 2)}")


def glances(points: Sequence[Point]) -> list[Table]:
    """:func:`glance` of every model."""
    return [glance(points, model) for model in models_of(points)]


def signatures(points: Sequence[Point]) -> list[tuple[str, str]]:
    """Scores and the signatures that occur: one a score, where all numbers can be compared."""
    return list(dict.fromkeys(pair for p in points for pair in results.signatures(p.row)))
