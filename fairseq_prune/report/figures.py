"""BLEU against what is removed: by scheme, by stage (figures 1 and 2 of See, Luong & Manning 2016),
and over seeds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fairseq_prune.files.table import Table, number
from fairseq_prune.files.text import listed
from fairseq_prune.report.chart import LETTERS, Chart, commands_of, on_lines
from fairseq_prune.report.points import (
    Point,
    Spread,
    averages,
    counted,
    measure_of,
    places_of,
    schemes_of,
    scores_of,
    select,
)
from fairseq_prune.report.styles import BLACK, GRID, QUIET, styles_of
from fairseq_prune.study.stages import PRUNED, STAGES

PREFERRED, RANDOM = "class-blind", "random"
PANELS = 3  # side by side
# dashes and colour of level lines, told apart where several stand close together
LEVELS = (((6, 4), QUIET), ((2, 2), BLACK), ((8, 2, 2, 2), QUIET), ((1, 3), BLACK))

Bases = Sequence[tuple[str, Spread]]  # the dense models: label and score


@dataclass(frozen=True)
class Line:
    """One line of a figure: its label, the key of its style, and its points."""

    label: str
    style: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Curve:
    """A line as it is drawn.

    Args:
        label: in the legend, without the number of seeds.
        style: the key of its style.
        spreads: by what is removed, ascending, the score over seeds.
    """

    label: str
    style: str
    spreads: Sequence[tuple[float, Spread]]


def by_scheme(points: Sequence[Point], model: str) -> Chart | None:
    """Figure 1: pruned without retraining, a line for each scheme."""
    lines = scheme_lines(points, model, PRUNED)
    if not lines:
        return None
    caption = " against the percentage of weights removed, one line for each scheme, without "
    return _chart(
        "figure1", f"{model}: pruned, not retrained", caption + "retraining.",
        levels(points, model), lines,
    )  # fmt: skip


def by_stage(points: Sequence[Point], model: str) -> Chart | None:
    """Figure 2: one scheme, pruned, retrained, trained sparse from the beginning, and tickets."""
    scheme, later = scheme_of_interest(points, model), _later(points, model)
    if scheme is None or not later:
        return None
    lines = _stage_lines(points, model)
    drawn = {p.key for line in lines for p in line.points}
    left = schemes_of(p for p in later if p.key not in drawn)
    others = f" Other methods are in the tables: {listed(left, 6)}." if left else ""
    return _chart(
        "figure2",
        f"{model}: {scheme}, retrained and from the beginning",
        f" against the percentage of weights removed by {scheme} pruning: as pruned, after "
        "retraining, for a fresh model trained under the same mask, and for lottery tickets, as "
        f"far as there are any; random pruning with retraining beside it.{others}",
        levels(points, model),
        lines,
    )


def _later(points: Sequence[Point], model: str) -> list[Point]:
    """What was trained under its masks."""
    return [p for p in points if p.model == model and p.kind.trained]


def levels(points: Sequence[Point], model: str) -> list[Point]:
    """The dense model, and others of which nothing is removed."""
    return [p for p in points if p.model == model and p.kind.level]


def _stage_lines(points: Sequence[Point], model: str) -> list[Line]:
    """The lines of figure 2."""
    scheme = scheme_of_interest(points, model)
    stages = {name: stage for name, stage in STAGES.items() if stage.removes}
    lines = [Line(s.label, n, select(points, model, n, scheme)) for n, s in stages.items()]
    if scheme != RANDOM:
        beside = {name: stage.random for name, stage in stages.items() if stage.random}
        lines += [Line(s, RANDOM, select(points, model, n, RANDOM)) for n, s in beside.items()]
    return [line for line in lines if line.points]


def _seed_lines(points: Sequence[Point], model: str) -> dict[str, list[Line]]:
    """The lines of figure 8, by stage."""
    shown = {}
    for stage in (name for name, stage in STAGES.items() if stage.removes):
        lines = scheme_lines(points, model, stage)
        if any(a.sd is not None for line in lines for a in averages(line.points).values()):
            shown[stage] = lines
    return shown


def not_drawn(points: Sequence[Point], model: str) -> list[Point]:
    """The points of a model that are in none of the figures of BLEU."""
    lines = [line for mine in _seed_lines(points, model).values() for line in mine]
    lines += scheme_lines(points, model, PRUNED)
    if _later(points, model):
        lines += _stage_lines(points, model)
    drawn = {p.key for line in lines for p in line.points}
    return [p for p in points if p.model == model and not p.kind.level and p.key not in drawn]


def scheme_lines(points: Sequence[Point], model: str, stage: str) -> list[Line]:
    """A line for each scheme at a stage."""
    found = [p for p in points if p.model == model and p.stage == stage]
    return [Line(n, n, select(found, model, stage, n)) for n in schemes_of(found)]


def scheme_of_interest(points: Sequence[Point], model: str) -> str | None:
    """class-blind, or the scheme with the most stages where there is none; None if nothing is."""
    mine = [p for p in points if p.model == model and p.scheme and p.kind.removes]
    stages: dict[str, set[str]] = {}
    for point in mine:
        stages.setdefault(str(point.scheme), set()).add(point.stage)
    if PREFERRED in stages:
        return PREFERRED
    return max(stages, key=lambda name: len(stages[name])) if stages else None


def over_seeds(points: Sequence[Point], model: str) -> Chart | None:
    """Figure 8: the median over seeds, quartiles and extremes; None where no point has two."""
    shown = _seed_lines(points, model)
    if not shown:
        return None
    dense = bases_of(levels(points, model))
    table = [["stage", "scheme", "removed", "min", "25%", "median", "75%", "max", "seeds"]]
    for stage, lines in shown.items():
        for line in lines:
            for removed, a in averages(line.points).items():
                five = [number(a.quantile(share), 2) for share in (0, 0.25, 0.5, 0.75, 1)]
                n = str(len(a.values))
                table.append([STAGES[stage].label, line.label, f"{removed:g}%", *five, n])
    return Chart(
        name="figure8",
        title=f"{model}: median and spread over seeds",
        caption=f"Median {measure_of(points)} over seeds by scheme. The band runs from the lower "
        "to the upper quartile, the thin bars from the worst to the best seed."
        + _about_levels(dense),
        table=table,
        commands=commands_of([p.row for ls in shown.values() for line in ls for p in line.points]),
        draw=lambda drawing: _draw_seeds(drawing, dense, shown),
        size=(4.2 * min(PANELS, len(shown)) + 0.6, 0.9 + 3.7 * -(-len(shown) // PANELS)),
    )


def _chart(
    name: str, title: str, caption: str, dense: Sequence[Point], lines: Sequence[Line]
) -> Chart:
    everything = [*dense, *(p for line in lines for p in line.points)]
    bases, measure = bases_of(dense), measure_of(everything)
    curves = [Curve(ln.label, ln.style, list(averages(ln.points).items())) for ln in lines]
    return Chart(
        name=name,
        title=title,
        caption=measure + caption + about_lines(bases, curves),
        table=_table(bases, lines, measure),
        commands=commands_of([point.row for point in everything]),
        draw=lambda drawing: _draw(drawing, bases, curves, measure),
        size=(6.2, 4.0 + legend_height([label for label, _ in bases] + [c.label for c in curves])),
    )


def bases_of(points: Sequence[Point]) -> Bases:
    """The level lines: the label and the score of each place."""
    return [
        (", ".join(filter(None, [members[0].kind.label, place[2]])), scores_of(members))
        for place, members in places_of(points).items()
    ]


def about_lines(dense: Bases, curves: Sequence[Curve]) -> str:
    """What a caption says of level lines, and of several seeds."""
    text = _about_levels(dense)
    if any(a.sd is not None for _, a in [*dense, *(at for c in curves for at in c.spreads)]):
        text += " Lines are means over seeds (n), bands one standard deviation to both sides."
    return text


def _about_levels(dense: Bases) -> str:
    if not dense:
        return ""
    text = " The dashed line is the dense model" if len(dense) == 1 else (
        " The dashed lines are the dense models"
    )  # fmt: skip
    several = any(a.sd is not None for _, a in dense)
    return f"{text}, mean and standard deviation over seeds." if several else f"{text}."


def _table(dense: Bases, lines: Sequence[Line], measure: str) -> Table:
    """A row for each point, with what was asked for where anything else was reached."""
    table = [["line", "removed", measure, "sd", "seeds", "asked"]]
    rows = [(label, 0.0, a, "") for label, a in dense]
    for line in lines:
        said = {p.removed: p.asked for p in line.points}
        rows += [(line.label, x, a, said[x]) for x, a in averages(line.points).items()]
    for label, removed, a, asked in rows:
        cells = [label, f"{removed:g}%", number(a.mean, 2), number(a.sd, 2), str(len(a.values))]
        table.append([*cells, asked or "-"])
    if all(row[5] in ("-", row[1].removesuffix("%")) for row in table[1:]):
        return [row[:5] for row in table]
    return table


def _draw(drawing: Any, dense: Bases, curves: Sequence[Curve], measure: str) -> None:
    axes = drawing.subplots()
    draw_curves(axes, dense, curves)
    drawn = [*dense, *(at for curve in curves for at in curve.spreads)]
    _score_axes(axes, [a for _, a in drawn], measure)
    legend([axes])


def draw_levels(axes: Any, dense: Bases) -> None:
    """A level line for each dense model, its score in the legend, with the spread over seeds."""
    for number_, (label, a) in enumerate(dense):
        dashes, color = LEVELS[number_ % len(LEVELS)]
        said = f"{label} {a.mean:.1f}" if a.sd is None else f"{label} {a.mean:.1f} ± {a.sd:.1f}"
        axes.axhline(
            a.mean, color=color, linestyle=(0, dashes), linewidth=1.2,
            label=counted(said, [len(a.values)]),
        )  # fmt: skip
        if a.sd:
            axes.axhspan(a.mean - a.sd, a.mean + a.sd, color=color, alpha=0.15, linewidth=0)


def draw_curves(axes: Any, dense: Bases, curves: Sequence[Curve]) -> None:
    """Level lines, and lines over what is removed; with the spread over seeds."""
    draw_levels(axes, dense)
    styles = styles_of(curve.style for curve in curves)
    for curve in curves:
        x, spreads = [at for at, _ in curve.spreads], [a for _, a in curve.spreads]
        y, style = [a.mean for a in spreads], styles[curve.style]
        label = counted(curve.label, [len(a.values) for a in spreads])
        axes.plot(x, y, label=label, linewidth=1.8, **style)
        band(axes, x, spreads, style["color"])


def band(axes: Any, x: Sequence[float], spreads: Sequence[Spread], color: str) -> None:
    """Shade one standard deviation to both sides of means over seeds; a bar where it is one."""
    y, sd = [a.mean for a in spreads], [a.sd or 0.0 for a in spreads]
    if not any(sd):
        return
    if len(y) == 1:
        axes.errorbar(x, y, yerr=sd, color=color, elinewidth=0.9, capsize=3, linestyle="none")
        return
    low, high = ([m + sign * s for m, s in zip(y, sd, strict=True)] for sign in (-1, 1))
    axes.fill_between(x, low, high, color=color, alpha=0.18, linewidth=0)


def _draw_seeds(drawing: Any, dense: Bases, shown: dict[str, list[Line]]) -> None:
    everywhere = [p for lines in shown.values() for line in lines for p in line.points]
    across = min(PANELS, len(shown))
    every = drawing.subplots(-(-len(shown) // across), across, squeeze=False).reshape(-1)
    for axes in every[len(shown) :]:
        axes.set_axis_off()
    styles = styles_of(line.style for lines in shown.values() for line in lines)
    names = _counted([line for lines in shown.values() for line in lines])
    for axes, (stage, lines) in zip(every, shown.items(), strict=False):
        draw_levels(axes, dense)
        for number_, line in enumerate(lines):
            found = averages(line.points)
            shift = 0.5 * (number_ - (len(lines) - 1) / 2)  # bars beside each other, not on top
            x, spreads = [removed + shift for removed in found], found.values()
            middle = [a.median for a in spreads]
            ends = [
                [a.median - a.values[0] for a in spreads],
                [a.values[-1] - a.median for a in spreads],
            ]
            style = styles[line.style]
            axes.errorbar(
                x, middle, yerr=ends, elinewidth=0.9, capsize=2, linewidth=1.6, **style,
                label=names[line.label],
            )  # fmt: skip
            low, high = ([a.quantile(share) for a in spreads] for share in (0.25, 0.75))
            axes.fill_between(x, low, high, color=style["color"], alpha=0.18, linewidth=0)
        axes.set_title(STAGES[stage].label)
        reached = [a for line in lines for a in averages(line.points).values()]
        _score_axes(axes, [*reached, *(a for _, a in dense)], measure_of(everywhere))
    legend(every, 3)


def _counted(lines: Sequence[Line]) -> dict[str, str]:
    """The labels of lines, with the number of seeds in all panels together."""
    counts: dict[str, list[int]] = {}
    for line in lines:
        found = counts.setdefault(line.label, [])
        found += [len(a.values) for a in averages(line.points).values()]
    return {label: counted(label, mine) for label, mine in counts.items()}


def score_limits(spreads: Sequence[Spread]) -> tuple[float, float]:
    """From a little below zero to a little above all scores: no band, bar or mark is cut."""
    ends = [end for a in spreads for end in (a.values[0], a.values[-1])]
    ends += [a.mean + sign * (a.sd or 0.0) for a in spreads for sign in (-1, 1)]
    top = max(ends) or 1.0
    return min(0.0, *ends) - 0.03 * top, 1.06 * top


def _score_axes(axes: Any, spreads: Sequence[Spread], measure: str) -> None:
    axes.set(xlabel="weights removed (%)", ylabel=measure)
    axes.set(xlim=(-2, 102), ylim=score_limits(spreads))
    axes.set_xticks(range(0, 101, 10))
    axes.grid(color=GRID, linewidth=0.6)


def legend_height(labels: Sequence[str]) -> float:
    """About what :func:`legend` of two columns takes on a sheet of usual width, in inches."""
    lines = [1 + len(f"{label} 12.3 ± 0.1 (n=3)") // 54 for label in labels]
    return 0.22 * (sum(lines) if max(map(len, labels), default=0) > 16 else -(-len(labels) // 2))


def legend(every: Iterable[Any], columns: int = 2) -> None:
    """One legend of some axes below all that is drawn, where no line can run through it.

    It has as many columns, at most ``columns``, as the sheet is wide enough for; names that are
    wider than the sheet are wrapped.
    """
    named: dict[str, Any] = {}
    for axes in every:
        handles, labels = axes.get_legend_handles_labels()
        named |= {label: handle for label, handle in zip(labels, handles, strict=True)}
    sheet = axes.figure
    letters = int(LETTERS * sheet.get_figwidth())
    labels = [on_lines(label, letters) for label in named]
    for count in range(min(columns, max(1, len(named))), 0, -1):
        made = sheet.legend(
            named.values(), labels, loc="outside lower center", ncols=count, frameon=False
        )
        if count == 1 or made.get_window_extent().width < 0.98 * sheet.bbox.width:
            return
        made.remove()
