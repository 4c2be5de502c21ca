"""Pruning by a rising threshold (Narang, Diamos, Sengupta and Elsen 2017, section 3)."""

from collections.abc import Mapping
from typing import Any

import torch

from fairseq_prune.maths.select import Budgets, Score, Scores, make_masks
from fairseq_prune.pruning.pruner import Pruned, Pruner
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.saliency import Probe

CUTS = "cuts"  # the note that holds each tensor's final threshold


def rise(recipe: Recipe, level: float, probe: Probe, notes: Mapping[str, Any] | None) -> Pruned:
    """Remove what scores below ``level`` times the final threshold of its tensor.

    The paper takes the final threshold from a trained, dense model of the same kind. Here it is
    what the recipe's scheme would remove at once at the first step, and weights that have grown
    meanwhile are accounted for at the end: at level 1 the scheme decides again, so that the
    sparsity is exact. Before, no more is removed than the scheme would.

    Args:
        level: in [0, 1].
        notes: of the last time; None at the first.
    """

    def adjust(groups: Scores, budgets: Budgets) -> Budgets:
        known = (notes or {}).get(CUTS)
        cuts = known or {
            n: _cut(groups[n], mask) for n, mask in make_masks(groups, budgets).items()
        }
        if level >= 1.0:
            return Budgets(budgets, budgets.near, {**budgets.notes, CUTS: cuts}, budgets.masks)
        kept = {n: max(budgets[n], _above(groups[n], level * cuts[n])) for n in budgets}
        return Budgets(kept, notes={CUTS: cuts})

    return Pruner(recipe).update(
        recipe.timetable().sparsity(recipe.timetable().last), probe, adjust
    )


def _keys(score: Score) -> torch.Tensor:
    """The ranking keys of what is alive and takes part; float64, flat."""
    values = score.values.detach()[score.present].to(torch.float64)
    return (values.abs() if score.absolute else values) / score.scale


def _cut(score: Score, kept: torch.Tensor) -> float:
    """The largest key that a mask removes; -inf where it removes none."""
    gone = ~kept if score.alive is None else ~kept & score.alive
    keys = _keys(Score(score.values, score.absolute, score.scale, gone, score.fixed))
    return float(keys.max()) if len(keys) else float("-inf")


def _above(score: Score, cut: float) -> int:
    """How many keys lie above."""
    return int(torch.count_nonzero(_keys(score) > cut))
