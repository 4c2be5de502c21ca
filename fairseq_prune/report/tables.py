"""Tables of points: all numbers of every place, and BLEU at a glance."""

import statistics
from collections.abc import Mapping, Sequence

from fairseq_prune.evaluation import results
from fairseq_prune.files.table import Table, number
from fairseq_prune.report.identity import decoding_of
from fairseq_prune.report.naming import decoding_names
from fairseq_prune.report.points import (
    WORK,
    Place,
    Point,
    measure_of,
    models_of,
    places_of,
    schemes_of,
    scores_of,
    spread_of,
)
from fairseq_prune.study.stages import STAGES

# header, entry of a results row, digits
NUMBERS = (
    ("BLEU", "bleu", 2),
    ("chrF", "chrf", 2),
    ("valid ppl", "valid_ppl", 2),
    ("test ppl", "test_ppl", 2),
    ("brevity penalty", "brevity_penalty", 3),
    ("length ratio", "length_ratio", 3),
)
OF_CLASSIFIERS = (("accuracy", "accuracy", 2), ("loss", "loss", 4))
# what is removed of all parameters, under masks
SHARES = ("sparsity_of_all", "sparsity_without_embeddings")
OF_ALL = ("of all", "of all but embeddings")
OF_WORK = "multiply-adds"
# where a row has them: evaluate --text
TOKENIZED = (
    ("tokenized BLEU", "tokenized_bleu", 2),
    ("tokenized BLEU, compounds split", "tokenized_bleu_split", 2),
)


def _numbers(points: Sequence[Point]) -> list[tuple[str, str, int]]:
    there = [n for n in TOKENIZED if any(p.row.get(n[1]) is not None for p in points)]
    numbers = [NUMBERS[0], *there, *NUMBERS[1:]] if any(p.has_text for p in points) else []
    return [*numbers, *(OF_CLASSIFIERS if any(not p.has_text for p in points) else ())]


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
    whole = any(p.row.get("sparsity_of_all") is not None for p in points)
    work = any(p.row.get(WORK) is not None for p in points)
    asked = any(members[0].percent != f"{place[3]:g}" for place, members in places.items())
    table = [["model", "stage", "scheme", "removed", *(["asked"] if asked else []),
              *(OF_ALL if whole else []), *([OF_WORK] if work else []),
              *(["seeds"] if seeds else [])]]  # fmt: skip
    numbers, scores = _numbers(points), set(results.SCORES.values())
    for header, _, _ in numbers:
        more = [f"{header} sd", f"{header} median"] if seeds and header in scores else []
        table[0] += [header, *more]
    table[0] += ["outputs"] if flagged else []
    for (model, stage, scheme, _), members in places.items():
        cells = [model, STAGES[stage].label, scheme or "-", _removed(members)]
        cells += [members[0].asked or "-"] if asked else []
        cells += [_share(members, entry) for entry in SHARES] if whole else []
        cells += [_share(members, WORK)] if work else []
        cells += [str(len(members))] if seeds else []
        for header, entry, digits in numbers:
            values = [p.row.get(entry) for p in members]
            cells += _spread(values, digits)[: 3 if seeds and header in scores else 1]
        table.append(cells + ([flags.get(members[0].place, "")] if flagged else []))
    return table


def _removed(members: Sequence[Point]) -> str:
    return f"{100 * statistics.fmean(float(p.row['sparsity']) for p in members):.2f}%"


def _share(members: Sequence[Point], entry: str) -> str:
    shares = [p.row[entry] for p in members if p.row.get(entry) is not None]
    return f"{100 * statistics.fmean(shares):.2f}%" if shares else "-"


def full_tables(
    points: Sequence[Point], flags: Mapping[Place, str] | None = None
) -> list[tuple[str, Table]]:
    """:func:`full_table` of each way of evaluating, with its name: "" where there is one only."""
    ways: dict[str, list[Point]] = {}
    for point in points:
        ways.setdefault(decoding_of(point.row), []).append(point)
    if len(ways) < 2:
        return [("", full_table(points, flags))]
    names = decoding_names({key: mine[0].row for key, mine in ways.items()})
    return [(names[key], full_table(mine, flags)) for key, mine in ways.items()]


def _spread(values: Sequence[float | None], digits: int) -> list[str]:
    spread = spread_of(values)
    found = (spread.mean, spread.sd, spread.median) if spread else (None, None, None)
    return [number(value, digits) for value in found]


def point_table(points: Sequence[Point]) -> Table:
    """One row a point, seeds apart, with what is removed and what was asked for."""
    numbers = _numbers(points)
    table = [[
        "model", "stage", "scheme", "removed", "asked", "seed", *(name for name, _, _ in numbers),
        "weights removed", "prunable weights", "parameters", *OF_ALL, "checkpoint",
        "evaluation", "processor",
    ]]  # fmt: skip
    for p in points:
        counts = [p.row.get(name) for name in ("removed", "prunable", "parameters")]
        table.append([
            p.model, p.kind.label, p.scheme or "-", f"{100 * p.row['sparsity']:.2f}%",
            p.asked or "-", p.seed, *(number(p.row.get(entry), n) for _, entry, n in numbers),
            *("-" if count is None else str(count) for count in counts),
            *(_share([p], entry) for entry in SHARES),
            str(p.row.get("checkpoint") or ""), decoding_of(p.row), p.processor or "-",
        ])  # fmt: skip
    return table


def glance(points: Sequence[Point], model: str) -> Table:
    """One model's scores: a row for each stage and scheme, a column for each percentage removed.

    Over several seeds: mean ± standard deviation, and their number.
    """
    mine = [p for p in points if p.model == model]
    percents = sorted({0.0, *(p.removed for p in mine if not p.kind.level)})
    places = places_of(mine)
    head = f"{model}: {measure_of(mine)} at % removed"
    table = [[head, *(f"{percent:g}" for percent in percents)]]
    for place, members in places.items():
        stage = STAGES[place[1]]
        if stage.level:
            name = ", ".join(filter(None, [stage.label, place[2]]))
            table.append([name, _score(members), *("" for _ in percents[1:])])
    for name, stage in STAGES.items():
        for scheme in schemes_of(p for p in mine if p.stage == name and not stage.level):
            cells = [_score(places.get((model, name, scheme, p), [])) for p in percents]
            table.append([f"{stage.label}, {scheme}", *cells])
    return table


def _score(points: Sequence[Point]) -> str:
    if not points:
        return ""
    return scores_of(points).text(2) + (f" (n={len(points)})" if len(points) > 1 else "")


def glances(points: Sequence[Point]) -> list[Table]:
    """:func:`glance` of every model."""
    return [glance(points, model) for model in models_of(points)]
