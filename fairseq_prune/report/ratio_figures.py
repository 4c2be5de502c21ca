"""The score against compression and theoretical speed-up (Blalock et al. 2020), beside dense models
of other sizes: those are the other way to have fewer weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fairseq_prune.files.table import Table, number
from fairseq_prune.report.chart import Chart, commands_of
from fairseq_prune.report.figures import (
    Curve,
    about_lines,
    bases_of,
    draw_curves,
    legend,
    score_limits,
)
from fairseq_prune.report.points import (
    Point,
    Spread,
    measure_of,
    multiply_adds_of,
    places_of,
    scores_of,
    times_less,
    weights_of,
)
from fairseq_prune.report.styles import GRID

SIZES = "dense, of several sizes"


@dataclass(frozen=True)
class Ratio:
    """What a model has less of than the dense one.

    Args:
        name: of the figure.
        shows: the ratio, for people.
        of: what of; None where a row does not say it.
        about: what it is, for a caption.
    """

    name: str
    shows: str
    of: Callable[[Point], float | None]
    about: str


SPEED_UP = Ratio(
    "figure11", "theoretical speed-up", multiply_adds_of,
    "the multiply-adds of the dense model over those that zeros leave (nothing runs faster by them "
    "in dense kernels): of a translation for a source and a target token, of a classifier for an "
    "average text",
)  # fmt: skip
COMPRESSION = Ratio(
    "figure12", "compression", weights_of,
    "the parameters of the dense model over those that are not zero",
)  # fmt: skip


def by_ratio(points: Sequence[Point], model: str, ratio: Ratio) -> Chart | None:
    """Figures 11 and 12: a line for each stage and scheme, and one for dense models.

    None where no row of a pruned model, or none of the dense one, says it.
    """
    mine = [p for p in points if p.model == model]
    found: dict[str, list[tuple[float, Spread]]] = {}
    for members in places_of(p for p in mine if p.kind.removes).values():
        if (times := times_less(mine, members, ratio.of)) is not None:
            label = f"{members[0].kind.label}, {members[0].scheme}"
            found.setdefault(label, []).append((times, scores_of(members)))
    if not found:
        return None
    lines = [Curve(name, name, sorted(at, key=_first)) for name, at in found.items()]
    level = [p for p in mine if p.kind.level and not p.kind.sized]
    curves, bases, measure = [*lines, *_sizes(mine, ratio)], bases_of(level), measure_of(mine)
    return Chart(
        name=ratio.name,
        title=f"{model}: {measure} against {ratio.shows}",
        caption=f"{measure} against {ratio.shows}: {ratio.about}.{about_lines(bases, curves)}",
        table=_table(bases, curves, measure, ratio),
        commands=commands_of([p.row for p in mine]),
        draw=lambda drawing: _draw(drawing, bases, curves, measure, ratio),
        size=(6.2, 4.0 + 0.22 * (len(curves) + len(bases))),
    )


def _first(at: tuple[float, Spread]) -> float:
    return at[0]


def _sizes(points: Sequence[Point], ratio: Ratio) -> list[Curve]:
    """The line through the dense model and those of other sizes; none without any."""
    at: list[tuple[float, Spread]] = []
    for members in places_of(p for p in points if p.kind.sized).values():
        if (times := times_less(points, members, ratio.of)) is not None:
            at.append((times, scores_of(members)))
    if not at:
        return []
    at.append((1.0, scores_of([p for p in points if p.kind.is_dense])))
    return [Curve(SIZES, SIZES, sorted(at, key=_first))]


def _table(
    bases: Sequence[tuple[str, Spread]], curves: Sequence[Curve], measure: str, ratio: Ratio
) -> Table:
    table = [["line", ratio.shows, measure, "sd", "seeds"]]
    rows = [(label, 1.0, score) for label, score in bases]
    rows += [(curve.label, *at) for curve in curves for at in curve.spreads]
    for label, times, score in rows:
        cells = [number(score.mean, 2), number(score.sd, 2), str(len(score.values))]
        table.append([label, f"{times:.2f}", *cells])
    return table


def _draw(
    drawing: Any, bases: Sequence[tuple[str, Spread]], curves: Sequence[Curve], measure: str,
    ratio: Ratio,
) -> None:  # fmt: skip
    axes = drawing.subplots()
    draw_curves(axes, bases, curves)
    most = max(times for curve in curves for times, _ in curve.spreads)
    powers = [2**n for n in range(12) if 2**n <= 1.5 * most] if most < 64 else [
        10**n for n in range(9) if 10**n <= 1.5 * most
    ]  # fmt: skip
    axes.set_xscale("log")
    axes.set_xticks(powers, [f"{power}" for power in powers])
    axes.set_xticks([], minor=True)
    axes.set(xlabel=f"{ratio.shows} (times)", ylabel=measure)
    drawn = [*bases, *(at for curve in curves for at in curve.spreads)]
    axes.set_ylim(score_limits([spread for _, spread in drawn]))
    axes.grid(color=GRID, linewidth=0.6)
    legend([axes], 1)
