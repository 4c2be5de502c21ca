"""Figures 1 and 2 of See, Luong & Manning (2016): BLEU against what is removed.

Each line has a colour (Okabe & Ito's, told apart by the colour-blind), a marker and a dash of its
own.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairseq_prune.analysis.drawing import canvas, save
from fairseq_prune.analysis.points import STAGES, Point, dense_of, schemes_of, select

STYLES: dict[str, dict[str, Any]] = {
    "class-blind": {"color": "#0072B2", "marker": "o", "linestyle": "-"},
    "class-uniform": {"color": "#D55E00", "marker": "s", "linestyle": "--"},
    "class-distribution": {"color": "#009E73", "marker": "^", "linestyle": "-."},
    "erk": {"color": "#E69F00", "marker": "v", "linestyle": (0, (5, 1))},
    "random": {"color": "#CC79A7", "marker": "x", "linestyle": ":"},
    "pruned": {"color": "#0072B2", "marker": "o", "linestyle": "-"},
    "retrained": {"color": "#D55E00", "marker": "s", "linestyle": "--"},
    "scratch": {"color": "#009E73", "marker": "^", "linestyle": "-."},
    "random retrained": {"color": "#CC79A7", "marker": "x", "linestyle": ":"},
}
OTHER = {"color": "#000000", "marker": "d", "linestyle": "-"}


@dataclass(frozen=True)
class Line:
    """One line of a figure: its label, its key in STYLES, and its points."""

    label: str
    style: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Figure:
    """A figure before it is drawn: all that is in it, and a sentence that says what it shows."""

    name: str
    title: str
    caption: str
    dense: Point | None
    lines: Sequence[Line]

    @property
    def points(self) -> list[Point]:
        """Every point in the figure, the dense one first."""
        dense = [self.dense] if self.dense else []
        return [*dense, *(p for line in self.lines for p in line.points)]


def by_scheme(points: Sequence[Point], model: str) -> Figure:
    """Figure 1: pruned without retraining, a line for each scheme."""
    pruned = select(points, model, "pruned")
    names = schemes_of(sorted(pruned, key=points.index))
    return Figure(
        name="figure1",
        title=f"{model}: pruned, not retrained",
        caption="BLEU against the percentage of weights removed, one line for each scheme, "
        "without retraining.",
        dense=dense_of(points, model),
        lines=[Line(name, name, select(pruned, model, "pruned", name)) for name in names],
    )


def by_stage(points: Sequence[Point], model: str, scheme: str = "class-blind") -> Figure:
    """Figure 2: one scheme, pruned, retrained, and trained sparse from the beginning."""
    stages = ("pruned", "retrained", "scratch")
    lines = [Line(STAGES[s], s, select(points, model, s, scheme)) for s in stages]
    if scheme != "random":
        again = select(points, model, "retrained", "random")
        lines.append(Line("random + retrained", "random retrained", again))
    return Figure(
        name="figure2",
        title=f"{model}: {scheme}, retrained and from the beginning",
        caption=f"BLEU against the percentage of weights removed by {scheme} pruning: as pruned, "
        "after retraining, and for a fresh model trained under the same mask; random pruning with "
        "retraining beside it.",
        dense=dense_of(points, model),
        lines=[line for line in lines if line.points],
    )


def figures_of(points: Sequence[Point], model: str) -> list[Figure]:
    """The figures that can be drawn of a model; those without a point are left out."""
    made = [by_scheme(points, model), by_stage(points, model)]
    return [figure for figure in made if figure.lines]


@contextmanager
def _drawn(figure: Figure) -> Iterator[Any]:
    with canvas(figure.title, (6.2, 4.8)) as (drawing, axes):
        _draw(axes, figure)
        yield drawing


def _draw(axes: Any, figure: Figure) -> None:
    if figure.dense is not None:
        axes.axhline(figure.dense.bleu, color="#555555", linestyle=(0, (6, 4)), linewidth=1.2)
        label = f"dense {figure.dense.bleu:.1f}"
        axes.annotate(
            label, (0.01, figure.dense.bleu), xycoords=("axes fraction", "data"),
            xytext=(0, 3), textcoords="offset points", color="#333333", fontsize=10,
        )  # fmt: skip
    for line in figure.lines:
        style = STYLES.get(line.style, OTHER)
        x = [p.removed for p in line.points]
        axes.plot(x, [p.bleu for p in line.points], label=line.label, linewidth=1.8, **style)
    top = max(p.bleu for p in figure.points)
    axes.set(
        xlabel="weights removed (%)", ylabel="BLEU", xlim=(0, 100), ylim=(0, 1.12 * top or 1),
        title=figure.title,
    )  # fmt: skip
    axes.set_xticks(range(0, 101, 10))
    axes.grid(color="#dddddd", linewidth=0.6)
    # below the axes, where no line can run through it
    axes.figure.legend(loc="outside lower center", ncols=2, frameon=False)


def as_svg(figure: Figure) -> str:
    """The figure as an ``<svg>`` element to stand in a page."""
    text = io.StringIO()
    with _drawn(figure) as drawing:
        drawing.savefig(text, format="svg", metadata={"Date": None})
    drawn = text.getvalue()
    return drawn[drawn.index("<svg") :]


def save_png(figure: Figure, path: Path) -> None:
    """Draw the figure into a PNG file of 1240 x 960 pixels."""
    with _drawn(figure) as drawing:
        save(drawing, path)
