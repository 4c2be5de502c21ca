"""What masks have removed before a recipe prunes further, in what the recipe counts."""

from collections.abc import Mapping

import torch
from torch import Tensor

from fairseq_prune.masks.state import Masks
from fairseq_prune.maths.select import round_count
from fairseq_prune.maths.structure import NofM
from fairseq_prune.network.units import Axes
from fairseq_prune.network.weights import Weights
from fairseq_prune.pruning.groups import groups_of, sums_by_class
from fairseq_prune.pruning.recipe import Recipe


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
    sparsity = recipe.settings["sparsity"]
    if isinstance(recipe.groups(), NofM):
        return
    counts = counts_by_class(recipe, weights, axes, masks).values()
    total, gone = map(sum, zip(*counts, strict=True))
    if gone > round_count(sparsity, total):
        what = f" of {recipe.structure}" if recipe.structure not in (None, "weight") else ""
        raise ValueError(
            f"--prune-sparsity {sparsity:g} is below the {gone / total:.4f}{what} that {origin} "
            "has removed already, and masks only shrink: ask for more."
        )
