"""A recipe and the model it is for: what its shares come to, and what was removed before."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from fairseq_prune.masks.state import Masks
from fairseq_prune.maths.allocate import overall, scaled
from fairseq_prune.maths.schemes import REST
from fairseq_prune.maths.select import round_count
from fairseq_prune.maths.structure import NofM, Units
from fairseq_prune.network.axes import choose_axes, find_axes, heads_of, tensors_of
from fairseq_prune.network.units import Axes, Axis
from fairseq_prune.network.weights import Weights
from fairseq_prune.pruning.groups import groups_of, sums_by_class
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.pruning.shares import Shares

# what excludes the layers of a class
_EXCLUDES = {f"{side}-layers": f"{side}-layer" for side in ("source", "target")}


def axes_of(model: nn.Module, weights: Weights, recipe: Recipe) -> Axes | None:
    """The axes that a recipe prunes in a live model, among these weights; None for no units.

    Raises ValueError where the model has none of them.
    """
    structure = recipe.groups()
    if not isinstance(structure, Units):
        return None
    tensors = tensors_of(model)
    axes, classes = find_axes(tensors, heads_of(model)), recipe.resolved.classes
    return choose_axes(axes, structure.kinds, weights, tensors, classes)


def counts_by_class(
    recipe: Recipe, weights: Weights, axes: Axes | None, masks: Mapping[str, Tensor]
) -> dict[str, tuple[int, int]]:
    """By class, how many weights, tiles or units there are, and how many of them are gone.

    Args:
        masks: of some of the weights; the others are whole.
    """
    whole = {
        name: masks[name] if name in masks else torch.ones(w.tensor.shape, dtype=torch.bool)
        for name, w in weights.items()
    }
    known = masks.fixed if isinstance(masks, Masks) else {}
    fixed = {
        name: w.fixed
        for name, w in weights.items()
        if w.fixed and (name not in masks or name in known)
    }
    groups = groups_of(recipe.groups(), weights, axes)
    out = masks.out if isinstance(masks, Masks) else ()
    return sums_by_class(groups.count(Masks(whole, fixed, out)), groups.classes)


def check_shrinks(
    recipe: Recipe, weights: Weights, axes: Axes | None, masks: Mapping[str, Tensor], origin: str
) -> None:
    """Refuse to prune to less than what is removed already.

    A pattern N:M is not refused: it takes what it has to of whatever is left.

    Args:
        recipe: bound to the model.
        masks: what training, or the file, begins with.
        origin: where they come from, for the message.

    Raises ValueError.
    """
    if isinstance(recipe.groups(), NofM):
        return
    sparsity = recipe.target
    if recipe.schedule_entry().moves and isinstance(masks, Masks) and masks.out:
        raise ValueError(
            f"--prune-schedule {recipe.schedule} brings weights back, and {origin} has lost whole "
            "layers, which stay away: cut them out first (fairseq-prune shrink)."
        )
    counts = counts_by_class(recipe, weights, axes, masks).values()
    total, gone = map(sum, zip(*counts, strict=True))
    if gone > round_count(sparsity, total):
        what = f" of {recipe.structure}" if recipe.structure not in (None, "weight") else ""
        raise ValueError(
            f"--prune-sparsity {sparsity:g} is below the {gone / total:.4f}{what} that {origin} "
            "has removed already, and masks only shrink: ask for more."
        )


def bound(recipe: Recipe, weights: Weights, axes: Axes | None) -> Recipe:
    """The recipe with the overall sparsity that its shares come to in a model.

    Other recipes come back as they are. Where layers go, one of each stack has to stay.

    Args:
        weights: the model's, with their classes.
        axes: where units are pruned; their classes are the axes.

    Raises ValueError, naming the classes, where the shares are not for these.
    """
    shares = recipe.shares
    if shares is not None:
        counts = counts_by_class(recipe, weights, axes, {})
        totals = {label: total for label, (total, _) in counts.items()}
        _check_classes(shares, list(totals))
        recipe = replace(recipe, sparsity=overall(shares, totals))
    if axes is not None and recipe.scheme is not None:
        _check_depth(recipe, [axis for axis in axes.values() if axis.modules])
    return recipe


def _check_depth(recipe: Recipe, stacks: Sequence[Axis]) -> None:
    """Raises ValueError where more layers are to go than all but one of each stack."""
    by_class = recipe.scheme_entry().by_class
    parts: dict[str, list[Axis]] = {}
    for axis in stacks:
        parts.setdefault(axis.label if by_class else "all layers", []).append(axis)
    totals = {label: sum(axis.units for axis in part) for label, part in parts.items()}
    shares = scaled(recipe.shares if by_class else None, recipe.target, totals)
    for label, part in parts.items():
        wanted, most = round_count(shares[label], totals[label]), totals[label] - len(part)
        if wanted > most:
            raise ValueError(
                f"{shares[label]:g} of the {totals[label]} layers of {label} is {wanted}, and the "
                f"last layer of an encoder or decoder cannot go: remove {most} at most, or leave "
                f"them whole (--prune-exclude {_EXCLUDES.get(label, 'target-layer')})."
            )


def _check_classes(shares: Shares, known: list[str]) -> None:
    unknown = [label for label in shares if label != REST and label not in known]
    if unknown:
        raise ValueError(
            f"--prune-given names {', '.join(unknown)}, which {_is(unknown)} no class that is "
            f"pruned here; those are: {', '.join(known)}."
        )
    missing = [label for label in known if label not in shares]
    if missing and REST not in shares:
        raise ValueError(
            f"--prune-given names no sparsity for {', '.join(missing)}; add a line for each, or "
            f"`{REST} SPARSITY` for all others."
        )


def _is(things: list[str]) -> str:
    return "is" if len(things) == 1 else "are"
