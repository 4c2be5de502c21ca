"""How many are left of each tensor or layer, beside what the scheme has: floors and multiples."""

import math
from collections.abc import Mapping
from fractions import Fraction

from fairseq_prune.maths.select import Budgets, Scores
from fairseq_prune.pruning.recipe import Recipe


def least_of(recipe: Recipe, totals: Mapping[str, int]) -> dict[str, int] | None:
    """How many of each stay in any case (``--prune-keep-at-least``); None where none was said.

    Args:
        totals: how many there are, by tensor, or by axis of units.
    """
    least = recipe.keep_at_least
    if least is None:
        return None
    if least >= 1.0:
        return {name: min(int(least), total) for name, total in totals.items()}
    share = Fraction(repr(least))  # the decimal number that was written: 0.7 of 10 is 7, not 8
    return {name: math.ceil(share * total) for name, total in totals.items()}


def in_multiples(budgets: Budgets, scores: Scores, multiple: int) -> Budgets:
    """The budgets, each the nearest multiple (the larger of two), and at most what is alive.

    No axis becomes empty by this: where fewer than half a multiple would be left, one is.
    """
    kept = {}
    for name, count in budgets.items():
        nearest = max(multiple, (2 * count + multiple) // (2 * multiple) * multiple)
        kept[name] = min(nearest, scores[name].numel_alive) if count else 0
    return Budgets(kept, notes=budgets.notes)
