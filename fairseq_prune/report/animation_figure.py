"""Figure 10: the animation of pruning, as a still for paper and as markup for a page."""

import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np

from fairseq_prune.files.table import Table
from fairseq_prune.report.animation import Animation, animate
from fairseq_prune.report.chart import Chart, commands_of, on_lines
from fairseq_prune.report.file_finder import FileFinder
from fairseq_prune.report.points import Point, dense_of, which_seed
from fairseq_prune.report.styles import STYLES

STILL = 80.0  # percent removed in the still, and on paper
NAME = 32  # letters of a class beside its histograms, a line
SEEN = (
    "Each row is a weight class, each column a scheme. A histogram counts the weights of the class "
    "by value, zero in the middle; as the sparsity rises, the two lines move outwards, and what "
    "lies between them, now pale, is removed. Below, a dark cell is a weight that is still there. "
    "Press Play, or move the slider."
)


def script() -> str:
    """What moves the animations of a page."""
    return (files("fairseq_prune.report") / "animation.js").read_text(encoding="utf-8")


def animation_of(
    points: Sequence[Point], model: str, files: FileFinder
) -> tuple[Chart, Animation] | None:
    """The animation of a model's dense checkpoint, and its still; None where it is not there."""
    dense = dense_of(points, model)
    if dense is None or files.note_export(dense, f"{model}: figure 10 is"):
        return None
    opened = files.open(dense)
    if opened is None:
        return None
    try:
        made = animate(opened)
    except ValueError as error:
        files.note(f"{opened.path} cannot be pruned by magnitude: {error}")
        return None
    at = _nearest(made, STILL)
    caption = (
        "The weights of the dense model by class, and what each scheme removes from them. Between "
        "the two lines (the threshold, on both sides of zero) weights go. Heights are square roots "
        "of counts. Below, a corner of a matrix or two, a cell a weight. Thresholds and counts "
        "are those of fairseq-prune apply; the files and paper show 80%."
    )
    chart = Chart(
        name="figure10",
        title=f"{model}: pruning by magnitude, step by step{which_seed(dense, points)}",
        caption=caption,
        table=_table(made),
        commands=commands_of([dense.row]),
        draw=lambda drawing: _draw(drawing, made, at),
        size=(8.4, 1.2 + 0.55 * len(made.classes)),
    )
    return chart, made


def _nearest(made: Animation, percent: float) -> int:
    return int(np.argmin([abs(s - percent) for s in made.sparsities]))


def _table(made: Animation) -> Table:
    """Every 5%: what each class has lost, and the threshold that took it."""
    table = [["scheme", "removed", "class", "removed of it", "|w| below"]]
    for scheme, thresholds in made.thresholds.items():
        for step, percent in enumerate(made.sparsities):
            if percent % 5:
                continue
            for k, (label, size) in enumerate(made.classes.items()):
                share = 100 * made.removed[scheme][step][k] / size
                cells = [f"{share:.1f}%", f"{thresholds[step][k]:.4g}"]
                table.append([scheme, f"{percent:g}%", label, *cells])
    return table


def _draw(drawing: Any, made: Animation, at: int) -> None:
    """Panels side by side, the classes one above the other in each."""
    labels = list(made.classes)
    edges = np.linspace(-made.limit, made.limit, len(made.histograms[labels[0]]) + 1)
    panels = drawing.subplots(1, len(made.thresholds), sharey=True)
    for axes, scheme in zip(panels, made.thresholds, strict=True):
        color = STYLES[scheme]["color"]
        for k, label in enumerate(labels):
            heights, base = np.sqrt(made.histograms[label]), -float(k)
            threshold = min(made.thresholds[scheme][at][k], made.limit)
            share = 100 * made.removed[scheme][at][k] / made.classes[label]
            heights = base + 0.8 * heights / heights.max()
            axes.stairs(heights, edges, baseline=base, fill=True, color=color)
            box = (-threshold, threshold), (base, base), (base + 0.82, base + 0.82)
            axes.fill_between(*box, color="#ffffff", alpha=0.75, linewidth=0)
            axes.vlines((-threshold, threshold), base, base + 0.85, color="#000000", linewidth=1)
            axes.text(made.limit, base + 0.84, f"{share:.1f}%", fontsize=7, ha="right", va="top")
        axes.set_title(f"{scheme} at {made.sparsities[at]:g}%", fontsize=9)
        axes.set_xlim(-made.limit, made.limit)
        axes.set_ylim(0.95 - len(labels), 1.0)
        axes.tick_params(labelsize=7)
        axes.tick_params(axis="y", length=0)
        axes.spines[["left", "right", "top"]].set_visible(False)
    names = [on_lines(label, NAME) for label in labels]
    panels[0].set_yticks([0.4 - k for k in range(len(labels))], names)


def markup(made: Animation, name: str) -> str:
    """The animation's controls and panels; :func:`script` fills and moves them.

    Args:
        name: of its own in the page, as in ids.
    """
    data = json.dumps(made.as_dict(), separators=(",", ":")).replace("<", "\\u003c")
    still, last = _nearest(made, STILL), len(made.sparsities) - 1
    heads = "".join(f'<div class="scheme">{escape(s)}</div>' for s in made.thresholds)
    rows = [
        f'<div class="class"><p>{escape(label)} <span>{size:,} weights</span></p>'
        f'<div class="three">{_cells(len(made.thresholds), "histogram")}</div></div>'
        for label, size in made.classes.items()
    ]
    rows += [
        f'<div class="class"><p>{escape(b.name)} <span>the first {b.shape[0]} rows and '
        f"{b.shape[1]} columns; dark: survives</span></p>"
        f'<div class="three">{_cells(len(made.thresholds), "bitmap")}</div></div>'
        for b in made.bitmaps
    ]
    return f"""<div class="animation" id="{name}" data-still="{still}">
<p class="what">{SEEN}</p>
<div class="controls" role="group" aria-label="the animation's controls">
<button type="button" class="play" aria-pressed="false">Play</button>
<label>removed <input type="range" class="slider" min="0" max="{last}"
 value="0" step="1" aria-label="percentage of all weights removed"></label>
<output class="now" aria-live="off"></output>
</div>
<p class="seen"></p>
<div class="three heads">{heads}</div>
{"".join(rows)}
<script type="application/json">{data}</script>
</div>"""


def _cells(count: int, kind: str) -> str:
    return f'<div class="{kind}"></div>' * count
