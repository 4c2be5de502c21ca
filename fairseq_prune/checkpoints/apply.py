"""Pruning a trained checkpoint as it lies, without training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fairseq_prune.checkpoints.checkpoint import Opened
from fairseq_prune.checkpoints.moments import second_moments
from fairseq_prune.checkpoints.record import Record
from fairseq_prune.checkpoints.steps import PRUNED, Step, recipe_at, starting_at, with_step
from fairseq_prune.checkpoints.storage import PRUNE_KEY
from fairseq_prune.checkpoints.units import axes_in
from fairseq_prune.checkpoints.zeroed_copy import Tick, with_zeros
from fairseq_prune.masks.state import Masks
from fairseq_prune.maths.schedule import SCHEDULES
from fairseq_prune.maths.structure import LAYERS, Units
from fairseq_prune.network.classes import GRANULARITIES
from fairseq_prune.network.options import model_options
from fairseq_prune.network.probing import Sample
from fairseq_prune.network.units import Axes
from fairseq_prune.network.weights import of_state_dict
from fairseq_prune.pruning.bound import bound, check_shrinks
from fairseq_prune.pruning.checks import checked
from fairseq_prune.pruning.notes import Notes
from fairseq_prune.pruning.pruner import (
    Extremes,
    Pruned,
    Pruner,
    check_structure,
    find_extremes,
    merge_extremes,
)
from fairseq_prune.pruning.reached import Reached, reached
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.pruning.rules import check_rules
from fairseq_prune.pruning.summary import ClassRow, find_dead, find_unseen
from fairseq_prune.pruning.weight_norm import check_norms
from fairseq_prune.saliency import Probe
from fairseq_prune.saliency.probe import Flow


@dataclass(frozen=True)
class Views:
    """What a saliency may look at beside the weights: batches, or a linear copy of the network."""

    sample: Sample | None = None
    flow: Flow | None = None


_NOTHING = Views()


@dataclass(frozen=True)
class Applied:
    """What a recipe does to a checkpoint; nothing is written yet.

    Args:
        step: how the checkpoint tells it, the file that it starts from left out; None: by the
            recipe.
        reached: what was asked for, and what it came to; None where masks were given.
        remarks: what is worth knowing, a sentence each.
    """

    source: Opened
    record: Record
    step: Step | None = None
    reached: Reached | None = None
    remarks: tuple[str, ...] = ()

    @property
    def masks(self) -> Masks:
        """What is kept."""
        assert self.record.masks is not None
        return self.record.masks

    def content(self, tick: Tick) -> dict[str, Any]:
        """The pruned checkpoint: zeros written, masks stored, everything else as it was."""
        result = with_zeros(self.source.content, self.source.weights, self.masks, tick)
        task_state = dict(result.get("task_state") or {})
        result["task_state"] = {**task_state, PRUNE_KEY: self.record.pack()}
        step, path = self.step or Step(kind=PRUNED, recipe=self._chose()), self.source.path
        return with_step(result, self.source.content, starting_at(path, step), path)

    def doubts(self, rows: Sequence[ClassRow]) -> list[str]:
        """What may be wrong with it, a sentence each.

        Args:
            rows: what is removed by weight class.
        """
        notes, found = self.record.notes, [] if self.reached is None else self.reached.warnings
        return [*found, *find_unseen(notes, self.masks), *find_dead(rows, self.masks)]

    def _chose(self) -> Recipe | None:
        """What chose the masks, where they are another file's, too."""
        recipe = self.record.recipe
        return recipe if recipe.scheme is not None else recipe_at(str(recipe.mask_from))


def check_recipe(recipe: Recipe, data: str | None = None) -> Recipe:
    """The recipe, checked; raises ValueError where it cannot be applied without training.

    Args:
        data: the folder of data to score on, where one is given.
    """
    timed = recipe.times
    # before what such a schedule would need: apply takes none
    known = SCHEDULES.get(recipe.schedule or "one-shot")
    if (known is not None and not known.at_once) or timed:
        flag = f"--prune-{timed[0]}" if timed else f"--prune-schedule {recipe.schedule}"
        raise ValueError(
            f"{flag} needs training, and apply does none: give it to fairseq-train --user-dir "
            "fairseq_prune, or leave it out to prune at once."
        )
    recipe = checked(recipe)
    looks = recipe.looks
    if looks and data is None:
        name = next(n for n in recipe.saliencies if recipe.entry(n).needs in looks)
        flag = "saliency" if name == recipe.saliency else "ratios"
        why = "scores on data" if recipe.entry(name).needs == "data" else "runs the model"
        raise ValueError(
            f"--prune-{flag} {name} {why}: give --data DATA, the binarised folder "
            "that fairseq-train would take."
        )
    if not recipe.active:
        raise ValueError(
            "Nothing says how to prune: give --prune-scheme, or --prune-mask-from FILE for the "
            "masks of another checkpoint."
        )
    return recipe


def unread_data(recipe: Recipe) -> list[str]:
    """A sentence where the recipe does not look at the data that are given."""
    saliency = recipe.saliency or "magnitude"
    return [] if recipe.looks else [f"--data is not read: --prune-saliency {saliency} needs none"]


def apply_recipe(source: Opened, recipe: Recipe, views: Views = _NOTHING) -> Applied:
    """The checkpoint pruned as training would prune it at its first step, with the same flags.

    Masks that it carries already are kept, and only shrink.

    Args:
        source: opened with the recipe's classes and exclusions.
        recipe: from :func:`check_recipe`.
        views: what the saliency looks at beside the weights.

    Raises ValueError where the masks in play do not fit the model, the flags or each other.
    """
    masks, found = source.masks, None
    _check_flags(source, recipe)
    axes = axes_in(source, recipe)
    unnamed = rules_of(source, recipe.resolved.classes, axes)
    recipe = bound(recipe, source.weights, axes)
    extremes: Extremes = dict(source.record.extremes) if source.record else {}
    if recipe.mask_from:
        given = source.given_masks(recipe.mask_from, "--prune-mask-from")
        masks = given if masks is None else masks & given
        extremes = merge_extremes(extremes, find_extremes(source.weights, masks))
    notes = Notes()
    if recipe.scheme is not None:
        pruned = _prune(source, recipe, masks, views, axes)
        masks, notes = pruned.masks, pruned.notes
        found = reached(recipe, source.weights, axes, pruned, recipe.target)
        extremes = merge_extremes(extremes, pruned.extremes)
    check_norms(source.weights, masks or {}, recipe.scheme)
    labels = {name: axis.label for name, axis in (axes or {}).items()}
    record = Record(
        recipe=recipe,
        masks=masks,
        acted=None if recipe.scheme is None else recipe.resolved.start,
        classes={**source.classes, **labels},
        extremes=extremes,
        notes=notes,
    )
    remarks = [sentence for sentence in (unnamed, _layerdrop(source, recipe)) if sentence]
    return Applied(source, record, reached=found, remarks=tuple(remarks))


def _layerdrop(source: Opened, recipe: Recipe) -> str | None:
    """Where layers go, whether the model was trained to bear that."""
    groups, options = recipe.groups(), model_options(source.content)
    if not isinstance(groups, Units) or LAYERS not in groups.kinds:
        return None
    rates = {side: options.get(f"{side}_layerdrop") for side in ("encoder", "decoder")}
    said = [f"{side} {rate:g}" for side, rate in rates.items() if isinstance(rate, int | float)]
    if any(rates.values()):
        return (
            f"{source.path} was trained with LayerDrop ({', '.join(said)}), for the loss of layers"
        )
    return (
        f"{source.path} was trained without LayerDrop (--encoder-layerdrop, --decoder-layerdrop): "
        "retrain it without the layers that go now"
    )


def rules_of(source: Opened, classes: str, axes: Axes | None = None) -> str | None:
    """What no rule of ``--prune-classes`` names; see `fairseq_prune.pruning.rules.check_rules`."""
    if classes in GRANULARITIES:
        return None
    everything = of_state_dict(source.content["model"])
    return check_rules(classes, everything, source.weights, axes)


def _prune(
    source: Opened,
    recipe: Recipe,
    masks: Masks | None,
    views: Views,
    axes: Axes | None,
) -> Pruned:
    if masks is not None:
        check_shrinks(recipe, source.weights, axes, masks, source.path)
    probe = Probe(
        source.weights,
        masks,
        recipe.resolved.seed,
        views.sample,
        second_moments(source) if "adam" in recipe.needs else None,
        views.flow,
        axes,
    )
    return Pruner(recipe).update(recipe.target, probe)


def _check_flags(source: Opened, recipe: Recipe) -> None:
    check_structure(recipe, source.weights)
    for name in source.masks or {}:
        if name not in source.weights:
            raise ValueError(
                f"--prune-exclude leaves out {name}, of which {source.path} has masks already; "
                "masks only shrink: exclude what was excluded before."
            )
