"""A pruned model's controls: its weights under masks that keep only its counts."""

from fairseq_prune.checkpoints.apply import Applied
from fairseq_prune.checkpoints.checkpoint import Opened
from fairseq_prune.checkpoints.record import Record
from fairseq_prune.checkpoints.shrink import by_unit, without_effect
from fairseq_prune.checkpoints.steps import CONTROL, Step, read_steps, recipe_of
from fairseq_prune.checkpoints.storage import check_fits
from fairseq_prune.checkpoints.units import every_axis, tensors_in
from fairseq_prune.files.writing import file_digest
from fairseq_prune.masks.controls import inverted, random_by_class, shuffled
from fairseq_prune.masks.state import Masks
from fairseq_prune.maths.structure import Units
from fairseq_prune.pruning.notes import Notes
from fairseq_prune.pruning.pruner import find_extremes
from fairseq_prune.pruning.recipe import Recipe


def make_control(pruned: Opened, dense: Opened, kind: str, seed: int) -> Applied:
    """``dense`` under a control of the masks of ``pruned``.

    Args:
        dense: what it was pruned from; for ``reinit`` the fresh model.
        kind: a key of CONTROLS.
        seed: of the random kinds.

    Raises ValueError where the files do not go together, or the dense one is pruned itself.
    """
    if pruned.masks is None or not any(map(pruned.masks.removed, pruned.masks)):
        raise ValueError(f"{pruned.path} is not pruned: there is no mask to make a control of.")
    if dense.masks is not None and any(map(dense.masks.removed, dense.masks)):
        raise ValueError(
            f"--weights {dense.path} is pruned itself: what a control keeps may be gone there; "
            "give the dense checkpoint from which the other was pruned."
        )
    if kind != "reinit":
        _check_weights(pruned, kind)
    check_fits(pruned.masks, dense.tensors, pruned.path)
    masks = _control(pruned, dense, kind, seed)
    weights = {name: dense.weights[name] for name in masks}
    record = Record(
        recipe=Recipe(mask_from=pruned.path),
        masks=masks,
        acted=None,
        classes=pruned.classes,
        extremes=find_extremes(weights, masks),
        notes=Notes(control=kind, seed=seed),
    )
    chose = recipe_of(pruned.record, read_steps(pruned.content, pruned.path))
    facts = {"kind": kind, "seed": seed, "of": file_digest(pruned.path)}
    return Applied(dense, record, Step(kind=CONTROL, recipe=chose, facts=facts))


def _check_weights(pruned: Opened, kind: str) -> None:
    """Raises ValueError where masks are of whole units, as single weights would be moved."""
    structure = pruned.record.recipe.groups() if pruned.record else None
    if isinstance(structure, Units):
        raise ValueError(
            f"{pruned.path} was pruned by unit ({'+'.join(structure.kinds)}), and {kind} moves "
            "single weights: its control is apply --prune-saliency random with the other flags."
        )
    if structure is not None and _holds_units(pruned):
        raise ValueError(
            f"The masks that {pruned.path} holds are of whole units, and {kind} moves single "
            "weights: its control is apply --prune-saliency random with the flags that pruned it."
        )


def _holds_units(pruned: Opened) -> bool:
    """Whether masks that a training held, or took from another file, are of units."""
    if pruned.record is None or pruned.record.recipe.scheme is not None:
        return False
    axes, tensors = every_axis(pruned), tensors_in(pruned.content["model"])
    dead = {axis.name: without_effect(axis, tensors) for axis in axes}
    return any(bool(flags.any()) for flags in dead.values()) and by_unit(pruned, axes, dead)


def _control(pruned: Opened, dense: Opened, kind: str, seed: int) -> Masks:
    masks = pruned.masks
    assert masks is not None
    if kind == "reinit":
        return masks
    if kind == "shuffle":
        return shuffled(masks, seed)
    if kind == "random":
        return random_by_class(masks, pruned.classes, seed)
    return inverted(masks, {name: dense.weights[name].effective() for name in masks})
