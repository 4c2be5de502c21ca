"""Weight class by weight class: what each loses, and what that does to perplexity (figures 3 to 5).

See, Luong & Manning 2016, sections 3.3 and 4.2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fairseq_prune.files.table import Table, number
from fairseq_prune.report.chart import Chart, commands_of, on_lines
from fairseq_prune.report.figures import legend
from fairseq_prune.report.names import Named, place_names
from fairseq_prune.report.naming import APART
from fairseq_prune.report.points import Point, Spread, counted, over, schemes_of, spread_of
from fairseq_prune.report.sensitivity_files import Measured
from fairseq_prune.report.styles import GRID, HATCHES, styles_of
from fairseq_prune.study.stages import STAGES

WANTED = 90.0  # percent removed: the paper's figure 4
NAME = 34  # letters of a class beside its bars, a line
MOST = 6  # bars of a class that can be told apart

Bars = Mapping[str, Mapping[str, Sequence[float]]]  # scheme -> class -> a value for each seed


def nearest(points: Sequence[Point], wanted: float = WANTED) -> float:
    """The percentage removed nearest to the one wanted; of two, the smaller."""
    return min({p.removed for p in points}, key=lambda removed: (abs(removed - wanted), removed))


def removed_by_class(points: Sequence[Point], model: str) -> Chart | None:
    """Figure 3: the percentage removed of each class, by scheme, near 90% of all weights."""
    mine = [p for p in points if p.model == model and not p.kind.level and p.row.get("classes")]
    if not mine:
        return None
    stage = next(s for s in STAGES if any(p.stage == s for p in mine))
    mine = [p for p in mine if p.stage == stage]
    percent = nearest(mine)
    chosen: dict[str, list[Point]] = {}
    for scheme in schemes_of(mine):
        of_it = [p for p in mine if p.scheme == scheme and abs(p.removed - percent) <= APART]
        if of_it:
            own = nearest(of_it, percent)
            chosen[scheme] = [p for p in of_it if p.removed == own]
    return _bars(
        "figure3",
        f"{model}: removed in each class at {percent:g}%",
        f"The percentage of each weight class that each scheme removes, when {percent:g}% of all "
        f"prunable weights are gone ({STAGES[stage].label}).",
        "removed (%)",
        {scheme: _shares(points) for scheme, points in chosen.items()},
        commands_of([p.row for points in chosen.values() for p in points]),
    )


def _shares(points: Sequence[Point]) -> dict[str, list[float]]:
    """By class, the percentage that each seed has lost."""
    found: dict[str, list[float]] = {}
    for point in points:
        for one in point.row["classes"]:
            found.setdefault(str(one["name"]), []).append(100.0 * float(one["sparsity"]))
    return found


def perplexity_by_class(measured: Sequence[Measured], model: str) -> Chart | None:
    """Figure 4: the change in perplexity when one class is pruned at a time."""
    bars: dict[str, dict[str, list[float]]] = {}
    for one in measured:
        mine = bars.setdefault(one.label, {})
        for row in one.rows:
            mine.setdefault(row.name, []).append(row.ppl_change)
    if not any(bars.values()):
        return None
    return _bars(
        "figure4",
        f"{model}: one class pruned at a time",
        "The change in perplexity when one weight class alone is pruned, with the share that the "
        "scheme would take of it at the sparsity named.",
        "change in perplexity",
        bars,
        _commands(measured),
    )


def perplexity_by_magnitude(measured: Sequence[Measured], model: str) -> Chart | None:
    """Figure 5: that change against the largest magnitude removed, on a logarithmic axis."""
    every = _marks(measured)
    shown = [mark for mark in every if mark.change.mean > 0]
    if not shown:
        return None
    left = len({(m.label, row.name) for m in measured for row in m.rows}) - len(shown)
    caption = (
        "Each mark is a weight class pruned alone: the change in perplexity, on a logarithmic "
        "axis, against the largest magnitude removed in it. Marks of one class that lie together "
        "share a name; names for which there is no room are left out."
    )
    if left:
        caption += f" {left} without an increase, or without a removed weight, cannot be shown."
    several = any(mark.change.sd is not None for mark in shown)
    if several:
        caption += " Marks are means over seeds, thin lines one standard deviation."
    else:
        caption += " Of one seed."
    of = ("largest removed", "change in perplexity")
    heads = [head for one in of for head in (one, *([f"{one}: sd"] if several else []))]
    table = [["scheme", "class", *heads, "seeds"]]
    for mark in shown:
        largest, change = mark.largest, mark.change
        cells = [f"{largest.mean:.4g}", number(change.mean, 4)]
        if several:
            cells.insert(1, "-" if largest.sd is None else f"{largest.sd:.4g}")
            cells.append(number(change.sd, 4))
        table.append([mark.label, mark.name, *cells, str(len(change.values))])
    return Chart(
        name="figure5",
        title=f"{model}: perplexity against the largest magnitude removed",
        caption=caption,
        table=table,
        commands=_commands(measured),
        draw=lambda drawing: _scatter(drawing, shown),
        size=(6.5, 5.4),
    )


@dataclass(frozen=True)
class Mark:
    """A weight class that a scheme pruned alone.

    Args:
        largest: over seeds, the largest magnitude removed.
        change: over seeds, that of the perplexity.
    """

    label: str
    name: str
    largest: Spread
    change: Spread


def _marks(measured: Sequence[Measured]) -> list[Mark]:
    """By label and class, over the seeds that have removed a weight of it."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for one in measured:
        for row in one.rows:
            if row.largest_removed is not None:
                pair = row.largest_removed, row.ppl_change
                found.setdefault((one.label, row.name), []).append(pair)
    return [
        Mark(*key, *(over(values) for values in zip(*pairs, strict=True)))
        for key, pairs in found.items()
    ]


def _commands(measured: Sequence[Measured]) -> list[str]:
    return list(dict.fromkeys(m.command for m in measured if m.command))


def _bars(
    name: str, title: str, caption: str, label: str, bars: Bars, commands: list[str]
) -> Chart:
    classes = list(dict.fromkeys(c for values in bars.values() for c in values))
    shown = dict(list(bars.items())[:MOST])
    lines = max(1 + on_lines(one, NAME).count("\n") for one in classes)
    if len(bars) > MOST:
        caption += f" The first {MOST} of {len(bars)} methods are drawn; the table has all."
    if any(len(seeds) > 1 for values in bars.values() for seeds in values.values()):
        caption += " Bars are means over seeds (n), thin lines one standard deviation."
    else:
        caption += " Of one seed."
    return Chart(
        name=name,
        title=title,
        caption=caption,
        table=_bar_table(classes, bars),
        commands=commands,
        draw=lambda drawing: _draw_bars(drawing, label, classes, shown),
        size=(6.4, 1.8 + len(classes) * max(0.14 + 0.13 * len(shown), 0.17 * lines)),
    )


def _bar_table(classes: Sequence[str], bars: Bars) -> Table:
    """A column a method, and of several seeds their standard deviation and number."""
    table: Table = [["class"], *([one] for one in classes)]
    for scheme, values in bars.items():
        several = _count(values) > 1
        table[0] += [scheme, *([f"{scheme}: sd", f"{scheme}: seeds"] if several else [])]
        for line, one in zip(table[1:], classes, strict=True):
            spread, seeds = spread_of(values.get(one, [])), values.get(one, [])
            line.append(number(spread.mean if spread else None, 2))
            if several:
                line += [number(spread.sd if spread else None, 2), str(len(seeds))]
    return table


def _count(values: Mapping[str, Sequence[float]]) -> int:
    return max((len(seeds) for seeds in values.values()), default=0)


def _draw_bars(drawing: Any, label: str, classes: Sequence[str], bars: Bars) -> None:
    axes = drawing.subplots()
    styles = styles_of(bars)
    height = 0.8 / len(bars)
    for place, (scheme, values) in enumerate(bars.items()):
        at = [i - 0.4 + height * (place + 0.5) for i in range(len(classes))]
        found = [spread_of(values.get(c, [])) for c in classes]
        count = _count(values)
        spread = [(s and s.sd) or 0.0 for s in found] if count > 1 else None
        axes.barh(
            at, [s.mean if s else 0.0 for s in found], height=0.92 * height,
            label=counted(scheme, [count]), xerr=spread,
            color=styles[scheme]["color"], hatch=HATCHES[place % len(HATCHES)], edgecolor="#ffffff",
            linewidth=0, error_kw={"elinewidth": 0.8},
        )  # fmt: skip
    every = sorted(v for row in bars.values() for seeds in row.values() for v in seeds)
    if every[0] >= 0 and every[-1] > 50 * max(1.0, every[len(every) // 2]):
        axes.set_xscale("symlog", linthresh=1.0)
        plain_numbers(axes.xaxis)
    axes.set_yticks(range(len(classes)), [on_lines(c, NAME) for c in classes], fontsize=9)
    axes.invert_yaxis()
    axes.axvline(0, color="#000000", linewidth=0.8)
    axes.set_xlabel(label)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    legend([axes])


def plain_numbers(axis: Any) -> None:
    """Label a logarithmic axis 0.1, 1, 10: text is not read as formulas here."""
    axis.set_major_formatter(lambda value, _place: f"{value:g}")
    axis.set_minor_formatter(lambda value, _place: "")


def _scatter(drawing: Any, shown: Sequence[Mark]) -> None:
    axes = drawing.subplots()
    labels = list(dict.fromkeys(mark.label for mark in shown))
    styles = styles_of(labels)
    for label in labels:
        mine = [mark for mark in shown if mark.label == label]
        style = styles[label]
        x, y = [mark.largest.mean for mark in mine], [mark.change.mean for mark in mine]
        axes.plot(x, y, linestyle="none", marker=style["marker"], color=style["color"], label=label)
        across, up = [m.largest.sd or 0.0 for m in mine], [m.change.sd or 0.0 for m in mine]
        if any(up):
            axes.errorbar(
                x, y, xerr=across, yerr=up, color=style["color"], elinewidth=0.8, linestyle="none"
            )
    axes.set_yscale("log")
    plain_numbers(axes.yaxis)
    axes.set(xlabel="largest magnitude removed", ylabel="change in perplexity")
    axes.margins(0.08)
    axes.grid(color=GRID, linewidth=0.6)
    legend([axes])
    drawing.get_layout_engine().execute(drawing)  # places are known from here on
    order = sorted(shown, key=lambda mark: -mark.change.mean)
    place_names(axes, [Named(m.name, m.largest.mean, m.change.mean) for m in order])
