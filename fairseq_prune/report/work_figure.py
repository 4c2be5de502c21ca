"""The score against the multiply-adds that zeros would save (figure 11)."""

import statistics
from collections.abc import Sequence
from typing import Any

from fairseq_prune.files.table import number
from fairseq_prune.report.averages import Spread
from fairseq_prune.report.chart import Chart, commands_of
from fairseq_prune.report.figures import legend, levels
from fairseq_prune.report.points import Point, measure_of, places_of
from fairseq_prune.report.styles import GRID, QUIET, styles_of

WORK = "flop_sparsity"  # the fraction of the multiply-adds of an average text
Line = dict[float, Spread]  # the score over seeds, by percent of the multiply-adds


def by_work(points: Sequence[Point], model: str) -> Chart | None:
    """Figure 11: a line for each stage and scheme; None where no row counts multiply-adds."""
    mine = [p for p in points if p.model == model and p.row.get(WORK) is not None]
    lines: dict[str, Line] = {}
    for members in places_of(p for p in mine if p.kind.removes).values():
        label = f"{members[0].kind.label}, {members[0].scheme}"
        lines.setdefault(label, {})[work_of(members)] = _spread(members)
    if not lines:
        return None
    measure = measure_of(mine)
    dense = [(m[0].kind.label, _spread(m)) for m in places_of(levels(mine, model)).values()]
    rows = [(label, 0.0, score) for label, score in dense]
    rows += [(label, *one) for label, line in lines.items() for one in sorted(line.items())]
    table = [["line", "multiply-adds removed", measure, "sd", "seeds"]]
    for label, work, score in rows:
        cells = [number(score.mean, 2), number(score.sd, 2), str(len(score.values))]
        table.append([label, f"{work:.2f}%", *cells])
    return Chart(
        name="figure11",
        title=f"{model}: {measure} against multiply-adds",
        caption=f"{measure} against the percentage of the multiply-adds of an average test text "
        "that zeros would save (nothing runs faster by it in dense kernels); means over seeds. "
        "The dashed line is the dense model.",
        table=table,
        commands=commands_of([p.row for p in mine]),
        draw=lambda drawing: _draw(drawing, dense, lines, measure),
        size=(6.2, 4.2 + 0.22 * len(lines)),
    )


def work_of(members: Sequence[Point]) -> float:
    """The percentage of the multiply-adds that is gone, mean over seeds."""
    return 100 * statistics.fmean(float(p.row[WORK]) for p in members)


def _spread(members: Sequence[Point]) -> Spread:
    return Spread(tuple(sorted(p.score for p in members)))


def _draw(
    drawing: Any, dense: Sequence[tuple[str, Spread]], lines: dict[str, Line], measure: str
) -> None:
    axes = drawing.subplots()
    for _, score in dense:
        axes.axhline(score.mean, color=QUIET, linestyle=(0, (6, 4)), linewidth=1.2)
    styles = styles_of(lines)
    for label, line in lines.items():
        x = sorted(line)
        axes.plot(x, [line[work].mean for work in x], label=label, linewidth=1.8, **styles[label])
    axes.set(xlabel="multiply-adds removed (%)", ylabel=measure, xlim=(0, 100))
    axes.grid(color=GRID, linewidth=0.6)
    legend(axes, 1)
