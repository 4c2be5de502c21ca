"""Validation loss over updates, with the pruning points marked (figure 6)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fairseq_prune.analysis.table import number
from fairseq_prune.report.chart import Chart, commands_of
from fairseq_prune.report.class_figures import nearest
from fairseq_prune.report.figures import legend, scheme_of_interest
from fairseq_prune.report.places import Places
from fairseq_prune.report.points import STAGES, Point, dense_of
from fairseq_prune.report.styles import GRID, styles_of
from fairseq_prune.report.training_log import Log, read_log

WANTED = 80.0  # percent removed: the paper retrains at 80%
MOST = 6  # lines that can be told apart


@dataclass(frozen=True)
class Run:
    """A run's line; ``offset`` is the update at which it starts."""

    label: str
    style: str
    log: Log
    offset: int


def training(points: Sequence[Point], model: str, places: Places) -> Chart | None:
    """Figure 6: the dense run and what came of it; None where no log has a validation."""
    runs: list[Run] = []
    used = []
    for point in _chosen(points, model):
        log = _log(point, places)
        if log is None or not log.losses:
            continue
        offset = 0
        if log.finetuned and runs and runs[0].style == "dense":
            offset = max(runs[0].log.losses)
        runs.append(Run(_label(point), point.stage, log, offset))
        used.append(point)
    if not runs:
        return None
    table = [["run", "update", "validation loss", "pruned to"]]
    for run in runs:
        for update in sorted({*run.log.losses, *run.log.prunings}):
            loss, to = run.log.losses.get(update), run.log.prunings.get(update)
            pruned = "-" if to is None else f"{100 * to:.2f}%"
            table.append([run.label, str(run.offset + update), number(loss, 3), pruned])
    return Chart(
        name="figure6",
        title=f"{model}: validation loss while training",
        caption="Validation loss (negative log-likelihood, bits a token) against updates. A "
        "triangle marks each time that weights were removed. Retraining starts where the dense "
        "model ended.",
        table=table,
        commands=commands_of([point.row for point in used]),
        draw=lambda drawing: _draw(drawing, runs),
    )


def _chosen(points: Sequence[Point], model: str) -> list[Point]:
    """The dense point and one of each kind at one sparsity, of one seed; then other schedules."""
    dense = dense_of(points, model)
    later = [p for p in points if p.model == model and p.stage not in ("dense", "pruned")]
    chosen = [dense] if dense else []
    if later:
        scheme = scheme_of_interest(later, model)
        percent = nearest([p for p in later if p.scheme == scheme], WANTED)
        seen = set()
        others = [p for p in later if p.scheme != scheme and str(p.scheme).startswith(f"{scheme},")]
        for point in [p for p in later if p.scheme == scheme] + others:
            if point.removed == percent and (point.stage, point.scheme) not in seen:
                seen.add((point.stage, point.scheme))
                chosen.append(point)
    return chosen[:MOST]


def _label(point: Point) -> str:
    if point.scheme is None:
        return "dense"
    return f"{STAGES[point.stage]}, {point.scheme} {point.removed:g}%"


def _log(point: Point, places: Places) -> Log | None:
    found = places.beside(str(point.row.get("checkpoint", "")), "train.log")
    return None if found is None else read_log(found)


def _draw(drawing: Any, runs: Sequence[Run]) -> None:
    axes = drawing.subplots()
    twice = {s for s in STAGES if sum(run.style == s for run in runs) > 1}
    keys = [run.label if run.style in twice else run.style for run in runs]
    styles = styles_of(keys)
    for key, run in zip(keys, runs, strict=True):
        style = dict(styles[key])
        style["marker"] = style["marker"] or "."
        updates = sorted(run.log.losses)
        axes.plot(
            [run.offset + u for u in updates], [run.log.losses[u] for u in updates],
            label=run.label, linewidth=1.6, markersize=5, **style,
        )  # fmt: skip
        axes.plot(
            [run.offset + u for u in run.log.prunings], [0.02] * len(run.log.prunings),
            transform=axes.get_xaxis_transform(), linestyle="none", marker="v", markersize=9,
            color=style["color"],
        )  # fmt: skip
    axes.set(xlabel="updates", ylabel="validation loss (bits a token)")
    axes.set_xlim(left=0)
    axes.grid(color=GRID, linewidth=0.6)
    legend(axes, 1)
