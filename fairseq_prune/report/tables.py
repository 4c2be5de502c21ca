"""Tables of points: all numbers of every place, and BLEU at a glance."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from fairseq_prune.evaluation import results
from fairseq_prune.files.table import Table, number
from fairseq_prune.report.identity import decoding_of
from fairseq_prune.report.naming import decoding_names
from fairseq_prune.report.points import (
    Place,
    Point,
    Spread,
    measure_of,
    models_of,
    multiply_adds_of,
    places_of,
    schemes_of,
    scores_of,
    spread_of,
    times_less,
    weights_of,
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
OF_ALL = (
    ("of all", "sparsity_of_all"),
    ("of all but embeddings", "sparsity_without_embeddings"),
)
HOURS = "cpu_hours"  # of the command that made a checkpoint, by a study
# how many times less than the dense model's: of its weights, of its multiply-adds
LESS = (("compression", weights_of), ("theoretical speed-up", multiply_adds_of))
# where a row has them: evaluate --text, report --comet
BESIDE = (
    ("COMET", "comet", 4),
    ("tokenized BLEU", "tokenized_bleu", 2),
    ("tokenized BLEU, compounds split", "tokenized_bleu_split", 2),
)


def _numbers(points: Sequence[Point]) -> list[tuple[str, str, int]]:
    there = [n for n in BESIDE if any(p.row.get(n[1]) is not None for p in points)]
    numbers = [NUMBERS[0], *there, *NUMBERS[1:]] if any(p.has_text for p in points) else []
    return [*numbers, *(OF_CLASSIFIERS if any(not p.has_text for p in points) else ())]


Members = Sequence[Point]  # of a place, one a seed
Column = tuple[str, Callable[[Members], str]]  # its header, and the cell of a place


def full_table(
    points: Sequence[Point], flags: Mapping[Place, str] | None = None, apart: bool = False
) -> Table:
    """One row a place, with the number of its seeds.

    Where they are several, numbers are means over seeds with their standard deviation.

    Args:
        points: to be shown.
        flags: what is odd about a place's outputs, a column of its own where anything is.
        apart: whether deviations, and medians of scores, are columns of their own, for programs.
    """
    places, flags = places_of(points), flags or {}
    seeds = any(len(members) > 1 for members in places.values())
    columns: list[Column] = [*_about(places), ("seeds", lambda members: str(len(members)))]
    for header, entry, digits in _numbers(points):
        columns += _columns(header, entry, digits, apart=seeds and apart)
    subsets = (name for p in points for name in p.row.get("also") or {})
    for name in dict.fromkeys(subsets):
        columns.append((f"BLEU, {name}", partial(_of_subset, subset=name)))
    if any(p.row.get(HOURS) is not None for p in points):
        columns += _columns("CPU-hours", HOURS, 3, apart=False)
    if any(flags.get(place) for place in places):
        columns.append(("outputs", lambda members: flags.get(members[0].place, "")))
    rows = [[cell(members) for _, cell in columns] for members in places.values()]
    return [[header for header, _ in columns], *rows]


def _about(places: Mapping[Place, Members]) -> Iterator[Column]:
    """What a place is, and how much is removed."""
    yield "model", lambda members: members[0].model
    yield "stage", lambda members: members[0].kind.label
    yield "scheme", lambda members: members[0].scheme or "-"
    yield "removed", partial(_share, entry="sparsity")
    if any(members[0].percent != f"{place[3]:g}" for place, members in places.items()):
        yield "asked", lambda members: members[0].asked or "-"
    rows = [point.row for members in places.values() for point in members]
    if any(row.get(OF_ALL[0][1]) is not None for row in rows):
        yield from ((header, partial(_share, entry=entry)) for header, entry in OF_ALL)
    points = [point for members in places.values() for point in members]
    for header, of in LESS:
        if any(times_less(points, members, of) for members in places.values()):
            yield header, partial(_times, points, of)


def _columns(header: str, entry: str, digits: int, apart: bool) -> Iterator[Column]:
    """The columns of an entry of rows: mean ± standard deviation, or each for itself."""

    def spread(members: Members) -> Spread | None:
        return spread_of([p.row.get(entry) for p in members])

    def part(name: str) -> Callable[[Members], str]:
        return lambda members: number(getattr(spread(members), name, None), digits)

    if not apart:
        yield header, lambda members: found.text(digits) if (found := spread(members)) else "-"
        return
    yield header, part("mean")
    yield f"{header} sd", part("sd")
    if entry in results.SCORES:
        yield f"{header} median", part("median")


def _of_subset(members: Members, subset: str) -> str:
    """BLEU of another subset."""
    every = [(p.row.get("also") or {}).get(subset, {}).get("bleu") for p in members]
    found = spread_of(every)
    return found.text(2) if found else "-"


def _share(members: Sequence[Point], entry: str) -> str:
    shares = [p.row[entry] for p in members if p.row.get(entry) is not None]
    return f"{100 * statistics.fmean(shares):.2f}%" if shares else "-"


def _times(points: Members, of: Callable[[Point], float | None], members: Members) -> str:
    return number(times_less(points, members, of), 2)


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


def point_table(points: Sequence[Point]) -> Table:
    """One row a point, seeds apart, with what is removed and what was asked for."""
    numbers = _numbers(points)
    table = [[
        "model", "stage", "scheme", "removed", "asked", "seed", *(name for name, _, _ in numbers),
        "weights removed", "prunable weights", "parameters", *(name for name, _ in OF_ALL),
        "checkpoint", "evaluation", "processor",
    ]]  # fmt: skip
    for p in points:
        counts = [p.row.get(name) for name in ("removed", "prunable", "parameters")]
        table.append([
            p.model, p.kind.label, p.scheme or "-", _share([p], "sparsity"),
            p.asked or "-", p.seed, *(number(p.row.get(entry), n) for _, entry, n in numbers),
            *("-" if count is None else str(count) for count in counts),
            *(_share([p], entry) for _, entry in OF_ALL),
            str(p.row.get("checkpoint") or ""), decoding_of(p.row), p.processor or "-",
        ])  # fmt: skip
    return table


def glance(points: Sequence[Point], model: str) -> Table:
    """One model's scores: a row for each stage and scheme, a column for each percentage removed.

    Over several seeds: mean ± standard deviation. Their number has a column; where it differs
    within a row, it stands in the cells, too.
    """
    mine = [p for p in points if p.model == model]
    percents = sorted({0.0, *(p.removed for p in mine if not p.kind.level)})
    places = places_of(mine)
    head = f"{model}: {measure_of(mine)} at % removed"
    table = [[head, "seeds", *(f"{percent:g}" for percent in percents)]]
    for place, members in places.items():
        stage = STAGES[place[1]]
        if stage.level:
            name = ", ".join(filter(None, [stage.label, place[2]]))
            table.append(_seen(name, [members, *([] for _ in percents[1:])]))
    for name, stage in STAGES.items():
        for scheme in schemes_of(p for p in mine if p.stage == name and not stage.level):
            cells = [places.get((model, name, scheme, p), []) for p in percents]
            table.append(_seen(f"{stage.label}, {scheme}", cells))
    return table


def _seen(name: str, cells: Sequence[Members]) -> list[str]:
    """A row of :func:`glance`."""
    counts = sorted({len(members) for members in cells if members})
    row = [name, "-".join(map(str, dict.fromkeys((counts[0], counts[-1]))))]
    for members in cells:
        score = scores_of(members).text(2) if members else ""
        row.append(f"{score} (n={len(members)})" if members and len(counts) > 1 else score)
    return row


def glances(points: Sequence[Point]) -> list[Table]:
    """:func:`glance` of every model."""
    return [glance(points, model) for model in models_of(points)]
