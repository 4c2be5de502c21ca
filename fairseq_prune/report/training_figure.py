"""Validation loss over updates, with the pruning points marked (figure 6)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fairseq_prune.files.table import number
from fairseq_prune.report.chart import Chart, commands_of
from fairseq_prune.report.class_figures import nearest
from fairseq_prune.report.figures import band, legend, scheme_of_interest
from fairseq_prune.report.file_finder import FileFinder
from fairseq_prune.report.naming import APART
from fairseq_prune.report.points import Point, counted, dense_of, places_of, spread_of
from fairseq_prune.report.styles import GRID, styles_of
from fairseq_prune.report.training_log import Log, read_log
from fairseq_prune.study.stages import STAGES

WANTED = 80.0  # percent removed: the paper retrains at 80%
MOST = 6  # lines that can be told apart


@dataclass(frozen=True)
class Run:
    """A run's line, over the seeds of a place.

    Args:
        losses: by update, one a seed; the updates at which every seed was validated.
        prunings: by update, the sparsity after it, of the first seed.
        offset: the update at which it starts.
        count: how many seeds have a log.
    """

    label: str
    style: str
    losses: Mapping[int, Sequence[float]]
    prunings: Mapping[int, float]
    offset: int
    count: int


def training(points: Sequence[Point], model: str, files: FileFinder) -> Chart | None:
    """Figure 6: the dense run and what came of it; None where no log has a validation."""
    runs: list[Run] = []
    used = []
    for members in _chosen(points, model):
        logs = [(p, log) for p in members if (log := _log(p, files)) is not None and log.losses]
        if not logs:
            continue
        finetuned = logs[0][1].finetuned and runs and STAGES[runs[0].style].is_dense
        run = _run([log for _, log in logs], members[0], max(runs[0].losses) if finetuned else 0)
        if run.losses:
            runs.append(run)
            used += [point for point, _ in logs]
    if not runs:
        return None
    several = any(run.count > 1 for run in runs)
    table = [["run", "update", "validation loss", *(["sd", "seeds"] * several), "pruned to"]]
    for run in runs:
        for update in sorted({*run.losses, *run.prunings}):
            spread, to = spread_of(run.losses.get(update, [])), run.prunings.get(update)
            loss = number(None if spread is None else spread.mean, 3)
            more = [number(None if spread is None else spread.sd, 3), str(run.count)] * several
            pruned = "-" if to is None else f"{100 * to:.2f}%"
            table.append([run.label, str(run.offset + update), loss, *more, pruned])
    mean = (
        " Lines are means over seeds (n), at the updates at which all were validated; bands are "
        "one standard deviation to both sides, triangles those of the first seed."
    )
    return Chart(
        name="figure6",
        title=f"{model}: validation loss while training",
        caption="Validation loss (negative log-likelihood, bits a token) against updates. A "
        "triangle marks each time that weights were removed. Retraining starts where the dense "
        f"model ended.{mean if several else ' Of one seed.'}",
        table=table,
        commands=commands_of([point.row for point in used]),
        draw=lambda drawing: _draw(drawing, runs),
    )


def _run(logs: Sequence[Log], point: Point, offset: int) -> Run:
    shared = set.intersection(*(set(log.losses) for log in logs))
    losses = {update: [log.losses[update] for log in logs] for update in sorted(shared)}
    label = counted(point.label, [len(logs)])
    return Run(label, point.stage, losses, logs[0].prunings, offset, len(logs))


def _chosen(points: Sequence[Point], model: str) -> list[list[Point]]:
    """The dense place and one of each kind at one sparsity; then other schedules."""
    dense = dense_of(points, model)
    later = [p for p in points if p.model == model and p.kind.trained]
    places = places_of(points)
    chosen = [places[dense.place]] if dense else []
    if later:
        scheme = scheme_of_interest(later, model)
        percent = nearest([p for p in later if p.scheme == scheme], WANTED)
        seen = set()
        others = [p for p in later if p.scheme != scheme and str(p.scheme).startswith(f"{scheme},")]
        for point in [p for p in later if p.scheme == scheme] + others:
            near = abs(point.removed - percent) <= APART
            if near and (point.stage, point.scheme) not in seen:
                seen.add((point.stage, point.scheme))
                chosen.append(places[point.place])
    return chosen[:MOST]


def _log(point: Point, files: FileFinder) -> Log | None:
    found = files.beside(point, "train.log")
    return None if found is None else read_log(found)


def _draw(drawing: Any, runs: Sequence[Run]) -> None:
    axes = drawing.subplots()
    twice = {s for s in STAGES if sum(run.style == s for run in runs) > 1}
    keys = [run.label if run.style in twice else run.style for run in runs]
    styles = styles_of(keys)
    for key, run in zip(keys, runs, strict=True):
        style = dict(styles[key])
        style["marker"] = style["marker"] or "."
        found = {update: spread_of(seeds) for update, seeds in run.losses.items()}
        spreads = [spread for spread in found.values() if spread]
        x, y = [run.offset + update for update in found], [spread.mean for spread in spreads]
        axes.plot(x, y, label=run.label, linewidth=1.6, markersize=5, **style)
        band(axes, x, spreads, style["color"])
        axes.plot(
            [run.offset + u for u in run.prunings], [0.02] * len(run.prunings),
            transform=axes.get_xaxis_transform(), linestyle="none", marker="v", markersize=9,
            color=style["color"],
        )  # fmt: skip
    axes.set(xlabel="updates", ylabel="validation loss (bits a token)")
    axes.set_xlim(left=0)
    axes.grid(color=GRID, linewidth=0.6)
    legend([axes], 1)
