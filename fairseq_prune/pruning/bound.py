"""A recipe and the model it is for: what its shares come to, and what was removed before."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from fairseq_prune.masks.state import Masks
from fairseq_prune.maths.allocate import overall
from fairseq_prune.maths.schemes import REST
from fairseq_prune.maths.select import round_count
from fairseq_prune.maths.structure import NofM, Units
from fairseq_prune.network.axes import choose_axes, find_axes, heads_of, tensors_of
from fairseq_prune.network.units import Axes
from fairseq_prune.network.weights import Weights
from fairseq_prune.pruning.groups import groups_of, sums_by_class
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.pruning.shares import Shares


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
    return sums_by_class(groups.count(Masks(whole, fixed)), groups.classes)


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

    Other recipes come back as they are.

    Args:
        weights: the model's, with their classes.
        axes: where units are pruned; their classes are the axes.

    Raises ValueError, naming the classes, where the shares are not for these.
    """
    shares = recipe.shares
    if shares is None:
        return recipe
    counts = counts_by_class(recipe, weights, axes, {})
    totals = {label: total for label, (total, _) in counts.items()}
    _check_classes(shares, list(totals))
    return replace(recipe, sparsity=overall(shares, totals))


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
