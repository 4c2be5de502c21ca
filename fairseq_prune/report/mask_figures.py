"""Where the survivors are: bitmaps by class, and rows by how much they lost (figures 7 and 9).

See, Luong & Manning 2016, section 4.7.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from fairseq_prune.checkpoints.checkpoint import Opened
from fairseq_prune.files.table import Table
from fairseq_prune.masks.state import Masks
from fairseq_prune.report.chart import Chart, commands_of, on_lines
from fairseq_prune.report.class_figures import nearest
from fairseq_prune.report.figures import scheme_of_interest
from fairseq_prune.report.file_finder import FileFinder
from fairseq_prune.report.points import Point, which_seed
from fairseq_prune.report.styles import BLUE
from fairseq_prune.study.stages import STAGES

WANTED = 80.0  # percent removed: sparse, with something left to see
TRIES = 3  # checkpoints looked for, before it is said that there is none
NAME = 26  # letters of a class above its panel, a line
MOST = 36  # classes that fit a figure
BINS = 20
GATES = ("input", "forget", "cell", "output")  # torch's order of an LSTM's rows
ROWS, COLUMNS = 64, 48  # the most cells of a tensor

Array = np.ndarray[Any, Any]  # float, (rows, columns)


@dataclass(frozen=True)
class PooledMask:
    """One tensor of a class, pooled.

    Args:
        name: of the tensor, short.
        shares: the share of weights that survive, in cells of the ``(out, in)`` matrix.
        shape: of the matrix.
        gates: whether its rows are the four gates of an LSTM.
    """

    name: str
    shares: Array
    shape: tuple[int, int]
    gates: bool


@dataclass(frozen=True)
class Rows:
    """How sparse the rows of a class are.

    Args:
        removed: the share of its inputs that each row has lost, pad rows left out.
    """

    label: str
    removed: Array

    @property
    def dead(self) -> int:
        """How many rows have lost all inputs."""
        return int((self.removed >= 1.0).sum())


def matrix(mask: Tensor) -> np.ndarray:
    """The mask as ``(out, everything else)``."""
    return mask.cpu().numpy().reshape(mask.shape[0], -1)


def pool(kept: np.ndarray, rows: int, columns: int) -> Array:
    """The share of True in at most ``rows`` x ``columns`` cells of about the same size."""
    shares: Array = kept.astype(np.float32)
    for axis, most in ((0, rows), (1, columns)):
        size = shares.shape[axis]
        edges = np.linspace(0, size, min(size, most) + 1).astype(int)
        sums = np.add.reduceat(shares, edges[:-1], axis=axis)
        widths = np.diff(edges)
        shares = sums / (widths[:, None] if axis == 0 else widths)
    return shares


def pooled_by_class(masks: Masks, classes: Mapping[str, str]) -> dict[str, list[PooledMask]]:
    """The tensors of each class, in the order of the masks."""
    found: dict[str, list[PooledMask]] = {}
    for name, mask in masks.items():
        kept = matrix(mask)
        found.setdefault(classes.get(name, name), []).append(
            PooledMask(short(name), pool(kept, ROWS, COLUMNS), kept.shape, has_gates(name))
        )
    return found


def rows_by_class(masks: Masks, classes: Mapping[str, str]) -> list[Rows]:
    """The rows of all tensors of each class."""
    found: dict[str, list[np.ndarray]] = {}
    for name, mask in masks.items():
        kept = matrix(mask)
        removed = 1.0 - kept.mean(axis=1)
        if name in masks.fixed:
            a, b = masks.fixed[name]
            removed = np.delete(removed, slice(a // kept.shape[1], b // kept.shape[1]))
        found.setdefault(classes.get(name, name), []).append(removed)
    return [Rows(label, np.concatenate(parts)) for label, parts in found.items()]


def has_gates(name: str) -> bool:
    """Whether a tensor is an LSTM's: its rows are the gates, one after the other."""
    return "weight_ih" in name or "weight_hh" in name


def short(name: str) -> str:
    """What tells a tensor from the others of its class."""
    last = name.removesuffix(".weight").rpartition(".")[2]
    last = re.sub(r"_l\d+", "", last)  # the layer is in the class's name
    for long, brief in (("weight_", ""), ("_proj", ""), ("_reverse", " back")):
        last = last.replace(long, brief)
    return last


def side(label: str) -> str:
    """The half of the network that a class belongs to."""
    if label.startswith("source"):
        return "encoder"
    return "both" if label.startswith("shared") else "decoder"


def sides(labels: Sequence[str]) -> list[str]:
    """The classes, those of the encoder first, as they came within each half."""
    order = ("encoder", "both", "decoder")
    return sorted(labels, key=lambda label: order.index(side(label)))


def survivors(points: Sequence[Point], model: str, files: FileFinder) -> list[Chart]:
    """Figures 7 and 9 of one pruned checkpoint of a model; none where there is none to read."""
    kept = [p for p in points if not p.export]
    for point in _candidates(kept, model)[:TRIES]:
        opened = files.open(point)
        if opened is None or opened.masks is None:
            continue
        digest = point.row.get("masks_digest")
        if digest and opened.masks.digest() != digest:
            files.note(f"{opened.path} has other masks than when it was evaluated.")
            continue
        what = f"{point.scheme} {point.share}, {point.kind.label}{which_seed(point, points)}"
        return [_bitmaps(opened, model, point, what), _by_row(opened, model, point, what)]
    for point in _candidates(points, model)[:1]:
        files.note_export(point, f"{model}: figures 7 and 9 are")
    return []


def _candidates(points: Sequence[Point], model: str) -> list[Point]:
    """As pruned before others, the nearest to 80% first."""
    scheme = scheme_of_interest(points, model)
    mine = [p for p in points if p.model == model and p.scheme == scheme and not p.kind.level]
    if not mine:
        return []
    percent = nearest(mine, WANTED)
    order = list(STAGES)
    return sorted(
        mine,
        key=lambda p: (p.removed != percent, order.index(p.stage), abs(p.removed - WANTED)),
    )


def _bitmaps(opened: Opened, model: str, point: Point, what: str) -> Chart:
    assert opened.masks is not None
    parts = pooled_by_class(opened.masks, opened.classes)
    labels = sides(list(parts))
    table = [["class", "tensor", "rows", "columns", "survive"]]
    for label in labels:
        for part in parts[label]:
            share = f"{100 * float(part.shares.mean()):.2f}%"
            table.append([label, part.name, *map(str, part.shape), share])
    caption = (
        f"Which weights survive ({what}), a panel for each weight class, its matrices "
        "side by side, rows are outputs. Each cell is a patch of weights; the darker, the more of "
        "them survive. Rows of an LSTM are its gates."
    )
    if len(labels) > MOST:
        caption += f" The first {MOST} of {len(labels)} classes."
    across = 4
    down = -(-min(len(labels), MOST) // across)
    return Chart(
        name="figure7",
        title=f"{model}: survivors, {what}",
        caption=caption,
        table=table,
        commands=commands_of([point.row]),
        draw=lambda drawing: _draw_bitmaps(drawing, {k: parts[k] for k in labels[:MOST]}, across),
        size=(8.4, 0.5 + 2.1 * down),
    )


def _draw_bitmaps(drawing: Any, parts: dict[str, list[PooledMask]], across: int) -> None:
    top = max(float(np.quantile(p.shares, 0.99)) for ps in parts.values() for p in ps) or 1.0
    grid = drawing.subplots(-(-len(parts) // across), across, squeeze=False).reshape(-1)
    image = None
    for axes in grid[len(parts) :]:
        axes.set_axis_off()
    for axes, (label, mine) in zip(grid, parts.items(), strict=False):
        rows = max(part.shares.shape[0] for part in mine)
        columns: list[Any] = []
        ticks = []
        for part in mine:
            # all as high as the highest, so that they can stand side by side
            at = np.arange(rows) * part.shares.shape[0] // rows
            ticks.append(sum(c.shape[1] for c in columns) + part.shares.shape[1] / 2 - 0.5)
            columns += [part.shares[at], np.full((rows, 1), np.nan)]
        cells = np.concatenate(columns[:-1], axis=1)
        image = axes.imshow(
            cells, cmap="Blues", vmin=0.0, vmax=top, aspect="auto", interpolation="nearest"
        )
        name = on_lines(label, NAME)
        axes.set_title(f"{side(label)}\n{name}" if side(label) not in label else name, fontsize=8)
        axes.set_facecolor("#888888")  # what parts the matrices
        names = [part.name.replace(" ", "\n") for part in mine]
        axes.set_xticks(ticks, names, fontsize=6 if len(mine) > 2 else 7)
        axes.set_yticks([])
        if all(part.gates for part in mine):
            axes.set_yticks([rows * (k + 0.5) / 4 - 0.5 for k in range(4)], GATES, fontsize=7)
            for k in (1, 2, 3):
                axes.axhline(rows * k / 4 - 0.5, color="#888888", linewidth=0.8)
        axes.tick_params(length=0)
    bar = drawing.colorbar(image, ax=list(grid), location="bottom", aspect=60, pad=0.01)
    bar.set_label("share that survives", fontsize=8)
    bar.ax.tick_params(labelsize=7)


def _by_row(opened: Opened, model: str, point: Point, what: str) -> Chart:
    assert opened.masks is not None
    found = {rows.label: rows for rows in rows_by_class(opened.masks, opened.classes)}
    rows = [found[label] for label in sides(list(found))]
    shown = rows[:MOST]
    down = -(-len(shown) // 4)
    dead = sum(r.dead for r in rows)
    return Chart(
        name="figure9",
        title=f"{model}: sparsity by row, {what}",
        caption=f"How many rows (a neuron's inputs, a token's embedding) have lost which share of "
        f"their weights, by weight class ({what}). {dead} of "
        f"{sum(len(r.removed) for r in rows)} rows have lost all.",
        table=_row_table(rows),
        commands=commands_of([point.row]),
        draw=lambda drawing: _draw_rows(drawing, shown),
        size=(8.4, 0.5 + 1.5 * down),
    )


def _row_table(rows: Sequence[Rows]) -> Table:
    head = ["class", "rows", "lost all", "least", "25%", "median", "75%", "most"]
    table = [head]
    for r in rows:
        five = np.quantile(r.removed, (0, 0.25, 0.5, 0.75, 1))
        cells = [f"{100 * float(value):.1f}%" for value in five]
        table.append([r.label, str(len(r.removed)), str(r.dead), *cells])
    return table


def _draw_rows(drawing: Any, rows: Sequence[Rows]) -> None:
    grid = drawing.subplots(-(-len(rows) // 4), 4, squeeze=False, sharex=True)
    for axes in grid.reshape(-1)[len(rows) :]:
        axes.set_axis_off()
    for axes, r in zip(grid.reshape(-1), rows, strict=False):
        axes.hist(100 * r.removed, bins=BINS, range=(0, 100), color=BLUE)
        axes.set_title(
            f"{on_lines(r.label, NAME)}\n{r.dead} of {len(r.removed)} died whole", fontsize=8
        )
        axes.tick_params(labelsize=7)
        axes.set_xticks((0, 50, 100))
    drawing.supxlabel("share of a row's weights removed (%)", fontsize=9)
    drawing.supylabel("rows", fontsize=9)
