"""Which figures a report has: all of each model, as far as there is something to draw."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from fairseq_prune.files.text import file_name, listed
from fairseq_prune.report.animation import Animation
from fairseq_prune.report.animation_figure import animation_of
from fairseq_prune.report.chart import Chart, save_chart
from fairseq_prune.report.class_figures import (
    perplexity_by_class,
    perplexity_by_magnitude,
    removed_by_class,
)
from fairseq_prune.report.figures import by_scheme, by_stage, not_drawn, over_seeds
from fairseq_prune.report.file_finder import FileFinder
from fairseq_prune.report.identity import model_of
from fairseq_prune.report.mask_figures import survivors
from fairseq_prune.report.points import Point, models_of
from fairseq_prune.report.ratio_figures import COMPRESSION, SPEED_UP, by_ratio
from fairseq_prune.report.sensitivity_files import Measured, find_measured
from fairseq_prune.report.training_figure import training

MOST = 4  # models whose figures are drawn: each has up to twelve

_APPLY = "fairseq-prune apply CHECKPOINT --prune-scheme SCHEME --prune-sparsity S --output FILE"
_EVALUATE = "fairseq-prune evaluate FILE --data DATA --output results.jsonl --tag model=NAME"
_SENSITIVITY = "fairseq-prune sensitivity CHECKPOINT --data DATA --output FILE.json"


@dataclass(frozen=True)
class Material:
    """What figures of a model are drawn from."""

    points: Sequence[Point]
    model: str
    files: FileFinder
    measured: Sequence[Measured]

    @cached_property
    def of_masks(self) -> dict[str, Chart]:
        """Figures 7 and 9, by name: one checkpoint is opened for both."""
        return {chart.name: chart for chart in survivors(self.points, self.model, self.files)}


Made = Chart | tuple[Chart, Animation] | None


@dataclass(frozen=True)
class Figure:
    """A kind of figure.

    Args:
        shows: what, for people.
        draw: makes it; None where there is nothing to draw it from.
        command: what to run then; "" for a figure that is never said to be missing.
    """

    shows: str
    draw: Callable[[Material], Made]
    command: str = ""


# in the order of the page; to add one, write its function and an entry
FIGURES = {
    "figure1": Figure(
        "score by scheme",
        lambda m: by_scheme(m.points, m.model),
        f"{_APPLY}; {_EVALUATE} --tag stage=pruned",
    ),
    "figure2": Figure(
        "score pruned, retrained and sparse from the beginning",
        lambda m: by_stage(m.points, m.model),
        "fairseq-train ... --prune-scheme SCHEME --prune-sparsity S --finetune-from-model "
        f"CHECKPOINT; {_EVALUATE} --tag stage=retrained",
    ),
    "figure3": Figure(
        "what is removed of each class",
        lambda m: removed_by_class(m.points, m.model),
        f"{_APPLY}; {_EVALUATE} --tag stage=pruned",
    ),
    "figure4": Figure(
        "perplexity when one class is pruned",
        lambda m: perplexity_by_class(m.measured, m.model),
        _SENSITIVITY,
    ),
    "figure5": Figure(
        "perplexity against the largest magnitude removed",
        lambda m: perplexity_by_magnitude(m.measured, m.model),
        _SENSITIVITY,
    ),
    "figure6": Figure(
        "validation loss while training",
        lambda m: training(m.points, m.model, m.files),
        "mkdir -p FOLDER && fairseq-train ... --save-dir FOLDER 2>&1 | tee FOLDER/train.log",
    ),
    "figure7": Figure(
        "survivors by class", lambda m: m.of_masks.get("figure7"), f"{_APPLY} (and keep FILE)"
    ),
    "figure8": Figure(
        "median and spread over seeds",
        lambda m: over_seeds(m.points, m.model),
        f"{_EVALUATE} --tag seed=2",
    ),
    "figure9": Figure(
        "sparsity by row", lambda m: m.of_masks.get("figure9"), f"{_APPLY} (and keep FILE)"
    ),
    "figure10": Figure(
        "the animation of pruning",
        lambda m: animation_of(m.points, m.model, m.files),
        "fairseq-train ... (and keep checkpoint_best.pt)",
    ),
    # of models whose results count these
    "figure11": Figure(
        "score against theoretical speed-up", lambda m: by_ratio(m.points, m.model, SPEED_UP)
    ),
    "figure12": Figure(
        "score against compression", lambda m: by_ratio(m.points, m.model, COMPRESSION)
    ),
}


@dataclass(frozen=True)
class Drawn:
    """A figure that is in the folder: as STEM.png, STEM.svg and STEM.csv.

    Args:
        pdf: whether STEM.pdf is there too.
        svg: its drawing.
        animation: what to show in the page in its place.
    """

    chart: Chart
    stem: str
    svg: str
    pdf: bool
    animation: Animation | None = None


@dataclass(frozen=True)
class Gallery:
    """The figures by model.

    Args:
        missing: by model, the names of FIGURES without data.
        notes: sentences on files that could not be used, and on models left out.
    """

    drawn: dict[str, list[Drawn]] = field(default_factory=dict)
    missing: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def draw(points: Sequence[Point], roots: Sequence[str], folder: Path, pdf: bool = False) -> Gallery:
    """Draw every figure that there is data for into ``folder``.

    Of each model at most two checkpoints are opened: the dense one (figure 10), and a pruned one
    (figures 7 and 9), the nearest to 80% of class-blind; up to three are tried for it.

    Args:
        points: of all models.
        roots: the folders that are reported.
        pdf: whether figures are written as PDF, too.
    """
    models, files = models_of(points), FileFinder(roots)
    bases = {p.model: model_of(p.row, p.folder) for p in points}
    checkpoints = {
        str(p.row.get(name)): bases[p.model] for p in points for name in ("checkpoint", "sha256")
    }
    measured = find_measured(roots, checkpoints, files.note)
    gallery = Gallery()
    stems: set[str] = set()
    for model in models[:MOST]:
        stem = _stem(model, stems)
        mine = [p for p in points if p.model == model]
        own = [m for m in measured if m.model == bases[model]]
        found = {}
        for figure, made in _all(Material(mine, model, files, own)):
            chart, animation = made if isinstance(made, tuple) else (made, None)
            name = f"{stem}-{figure}"
            svg = save_chart(chart, folder, name, pdf)
            found[figure] = Drawn(chart, name, svg, pdf, animation)
        gallery.drawn[model] = list(found.values())
        gallery.missing[model] = [n for n in _possible(mine) if n not in found]
        gallery.notes.extend(_aside(not_drawn(mine, model)))
    gallery.notes.extend(files.notes)
    gallery.notes.extend(_left_out(models, {m.model for m in measured} - set(bases.values())))
    return gallery


def _all(material: Material) -> Iterator[tuple[str, Chart | tuple[Chart, Animation]]]:
    for name, figure in FIGURES.items():
        made = figure.draw(material)
        if made is not None:
            yield name, made


def _possible(points: Sequence[Point]) -> list[str]:
    """The figures that a command could give: of classifiers there are no translations."""
    of_text = any(p.has_text for p in points)
    commands = {name: figure.command for name, figure in FIGURES.items() if figure.command}
    text = (_EVALUATE, _SENSITIVITY)
    return [n for n, c in commands.items() if of_text or not any(one in c for one in text)]


def _left_out(models: Sequence[str], stray: set[str]) -> Iterator[str]:
    """What no figure shows: models beyond the first, and measurements of unknown models."""
    if len(models) > MOST:
        left = ", ".join(models[MOST:])
        yield (
            f"Figures are drawn of the first {MOST} models. The tables have the others too; report "
            f"their folders alone to see figures of {left}."
        )
    if stray:
        yield (
            f"fairseq-prune sensitivity measured {', '.join(sorted(stray))}, of which there are no "
            "results: give its --tag model=NAME as for fairseq-prune evaluate."
        )


def _aside(points: Sequence[Point]) -> list[str]:
    """A sentence on the points that no figure of BLEU shows."""
    if not points:
        return []
    names = [p.label for p in points]
    several = f"{points[0].model}: {len(points)} rows are in the tables and in no figure: "
    return [several + listed(list(dict.fromkeys(names)), 4) + "."]


def _stem(model: str, taken: set[str]) -> str:
    """A file's name that no other model has."""
    stem, number = file_name(model), 1
    while stem in taken:
        number += 1
        stem = f"{file_name(model)}-{number}"
    taken.add(stem)
    return stem
