"""Per-class sparsities and the model they are for: whether they fit, and what they come to."""

from dataclasses import replace

from fairseq_prune.maths.allocate import REST, overall
from fairseq_prune.network.units import Axes
from fairseq_prune.network.weights import Weights
from fairseq_prune.pruning.before import counts_by_class
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.pruning.shares import Shares


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
