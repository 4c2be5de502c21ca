"""Weight class by weight class: what each loses, and what that does to perplexity (figures 3 to 5).

See, Luong & Manning 2016, sections 3.3 and 4.2.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fairseq_prune.analysis.table import number
from fairseq_prune.report.chart import Chart, commands_of
from fairseq_prune.report.figures import legend
from fairseq_prune.report.points import STAGES, Point
from fairseq_prune.report.sensitivity_files import Measured
from fairseq_prune.report.styles import GRID, HATCHES, styles_of

WANTED = 90.0  # percent removed: the paper's figure 4
MOST = 6  # bars of a class that can be told apart

Bars = Mapping[str, Mapping[str, float]]  # scheme -> class -> value


def nearest(points: Sequence[Point], wanted: float = WANTED) -> float:
    """The percentage removed nearest to the one wanted; of two, the smaller."""
    return min({p.removed for p in points}, key=lambda removed: (abs(removed - wanted), removed))


def removed_by_class(points: Sequence[Point], model: str) -> Chart | None:
    """Figure 3: the percentage removed of each class, by scheme, near 90% of all weights."""
    mine = [p for p in points if p.model == model and p.stage != "dense" and p.row.get("classes")]
    if not mine:
        return None
    stage = next(s for s in STAGES if any(p.stage == s for p in mine))
    mine = [p for p in mine if p.stage == stage]
    percent = nearest(mine)
    chosen: dict[str, Point] = {}
    for point in mine:  # the first seed stands for all: masks hardly differ in their counts
        if point.removed == percent:
            chosen.setdefault(str(point.scheme), point)
    bars = {
        scheme: {str(c["name"]): 100.0 * float(c["sparsity"]) for c in point.row["classes"]}
        for scheme, point in chosen.items()
    }
    return _bars(
        "figure3",
        f"{model}: removed in each class at {percent:g}%",
        f"The percentage of each weight class that each scheme removes, when {percent:g}% of all "
        f"prunable weights go ({STAGES[stage]}).",
        "removed (%)",
        bars,
        commands_of([p.row for p in chosen.values()]),
    )


def perplexity_by_class(measured: Sequence[Measured], model: str) -> Chart | None:
    """Figure 4: the change in perplexity when one class is pruned at a time."""
    bars = {m.label: {row["class"]: row["ppl_change"] for row in m.rows} for m in measured}
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
    shown = [
        (m.label, row)
        for m in measured
        for row in m.rows
        if row["largest_removed"] is not None and row["ppl_change"] > 0
    ]
    if not shown:
        return None
    left = sum(len(m.rows) for m in measured) - len(shown)
    caption = (
        "Each mark is a weight class pruned alone: the change in perplexity, on a logarithmic "
        "axis, against the largest magnitude removed in it. Names that would lie on another are "
        "left out."
    )
    if left:
        caption += f" {left} without an increase, or without a removed weight, cannot be shown."
    table = [["scheme", "class", "largest removed", "change in perplexity"]]
    for label, row in shown:
        change = number(row["ppl_change"], 4)
        table.append([label, row["class"], f"{row['largest_removed']:.4g}", change])
    return Chart(
        name="figure5",
        title=f"{model}: perplexity against the largest magnitude removed",
        caption=caption,
        table=table,
        commands=_commands(measured),
        draw=lambda drawing: _scatter(drawing, shown),
    )


def _commands(measured: Sequence[Measured]) -> list[str]:
    return list(dict.fromkeys(m.command for m in measured if m.command))


def _bars(
    name: str, title: str, caption: str, label: str, bars: Bars, commands: list[str]
) -> Chart:
    classes = list(dict.fromkeys(c for values in bars.values() for c in values))
    shown = dict(list(bars.items())[:MOST])
    if len(bars) > MOST:
        caption += f" The first {MOST} of {len(bars)} methods are drawn; the table has all."
    table = [["class", *bars]]
    for one in classes:
        values = [bars[scheme].get(one) for scheme in bars]
        table.append([one, *(number(value, 2) for value in values)])
    return Chart(
        name=name,
        title=title,
        caption=caption,
        table=table,
        commands=commands,
        draw=lambda drawing: _draw_bars(drawing, label, classes, shown),
        size=(7.0, 1.8 + len(classes) * (0.14 + 0.13 * len(shown))),
    )


def _draw_bars(drawing: Any, label: str, classes: Sequence[str], bars: Bars) -> None:
    axes = drawing.subplots()
    styles = styles_of(bars)
    height = 0.8 / len(bars)
    for place, (scheme, values) in enumerate(bars.items()):
        at = [i - 0.4 + height * (place + 0.5) for i in range(len(classes))]
        axes.barh(
            at, [values.get(c, 0.0) for c in classes], height=0.92 * height, label=scheme,
            color=styles[scheme]["color"], hatch=HATCHES[place % len(HATCHES)], edgecolor="#ffffff",
            linewidth=0,
        )  # fmt: skip
    every = sorted(value for row in bars.values() for value in row.values())
    if every[0] >= 0 and every[-1] > 50 * max(1.0, every[len(every) // 2]):
        axes.set_xscale("symlog", linthresh=1.0)
        plain_numbers(axes.xaxis)
    axes.set_yticks(range(len(classes)), classes, fontsize=9)
    axes.invert_yaxis()
    axes.axvline(0, color="#000000", linewidth=0.8)
    axes.set_xlabel(label)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    legend(axes)


def plain_numbers(axis: Any) -> None:
    """Label a logarithmic axis 0.1, 1, 10: text is not read as formulas here."""
    axis.set_major_formatter(lambda value, _place: f"{value:g}")
    axis.set_minor_formatter(lambda value, _place: "")


def _scatter(drawing: Any, shown: Sequence[tuple[str, dict[str, Any]]]) -> None:
    axes = drawing.subplots()
    labels = list(dict.fromkeys(label for label, _ in shown))
    styles = styles_of(labels)
    for label in labels:
        mine = [row for name, row in shown if name == label]
        style = styles[label]
        axes.plot(
            [row["largest_removed"] for row in mine], [row["ppl_change"] for row in mine],
            linestyle="none", marker=style["marker"], color=style["color"], label=label,
        )  # fmt: skip
    names = [
        axes.annotate(
            row["class"], (row["largest_removed"], row["ppl_change"]), fontsize=7,
            xytext=(4, 3), textcoords="offset points",
        )
        for _, row in sorted(shown, key=lambda pair: -pair[1]["ppl_change"])
    ]  # fmt: skip
    axes.set_yscale("log")
    plain_numbers(axes.yaxis)
    axes.set(xlabel="largest magnitude removed", ylabel="change in perplexity")
    axes.grid(color=GRID, linewidth=0.6)
    legend(axes)
    _thin_out(drawing, names)


def _thin_out(drawing: Any, names: Sequence[Any]) -> None:
    """Remove names that would lie on one before them."""
    drawing.draw_without_rendering()  # places are known from here on
    kept: list[Any] = []
    for name in names:
        box = name.get_window_extent()
        if any(box.overlaps(other) for other in kept):
            name.remove()
        else:
            kept.append(box)
