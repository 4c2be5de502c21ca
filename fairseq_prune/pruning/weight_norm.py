"""Weight normalisation divides by the norm of each row: one that is pruned whole becomes NaN.

fairseq's convolutional models have it; stock fairseq would train and decode with these NaNs.
"""

from collections.abc import Mapping

from torch import Tensor

from fairseq_prune.maths.structure import Block
from fairseq_prune.network.weights import Weight, Weights
from fairseq_prune.pruning.recipe import Recipe


def check_rows(recipe: Recipe, weights: Weights) -> None:
    """Raises ValueError where the recipe takes whole rows of what is normalised by row."""
    groups = recipe.groups()
    if not (isinstance(groups, Block) and groups.columns == 0):
        return
    for name, weight in weights.items():
        if weight.gain is not None and weight.gain.shape[0] > 1:
            raise ValueError(
                f"--prune-structure {recipe.structure} takes whole rows of {name}, and its weight "
                "normalisation would divide by their norm, 0; use weight or block:RxC, or "
                "--prune-exclude it."
            )


def check_norms(weights: Weights, masks: Mapping[str, Tensor], scheme: str | None = None) -> None:
    """Raises ValueError, naming the tensor, where nothing is left of what a norm is taken of.

    Args:
        weights: the model's.
        masks: by weight, True where it is kept.
        scheme: that made them.
    """
    other = "" if scheme == "class-uniform" else " --prune-scheme class-uniform,"
    for name, weight in weights.items():
        empty = _empty(weight, masks[name]) if name in masks else 0
        if empty:
            rows = "1 whole row" if empty == 1 else f"{empty} whole rows"
            raise ValueError(
                f"{rows} of {name} would be pruned, and its weight normalisation would divide by "
                f"the norm, 0; give a lower --prune-sparsity,{other} another --prune-saliency, or "
                "--prune-exclude it."
            )


def _empty(weight: Weight, mask: Tensor) -> int:
    """How many of the slices that have a norm of their own keep nothing."""
    if weight.gain is None:
        return 0
    kept = mask
    for dim, size in enumerate(weight.gain.shape):
        kept = kept.any(dim, keepdim=True) if size == 1 else kept
    return int((~kept).sum())
