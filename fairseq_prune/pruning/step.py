"""What a recipe does at one step of training: prune, exchange weights, or raise a threshold."""

from dataclasses import replace

import torch
from torch import Tensor

from fairseq_prune.masks.state import Masks
from fairseq_prune.maths.schedule import Exchange, Threshold
from fairseq_prune.maths.select import (
    Budgets,
    Findings,
    Score,
    Scores,
    keep_largest,
    make_masks,
    round_count,
)
from fairseq_prune.network.probing import gradient
from fairseq_prune.network.weights import Weight
from fairseq_prune.pruning.notes import Notes
from fairseq_prune.pruning.pruner import Pruned, Pruner, find_extremes
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.pruning.unseen import without_unseen
from fairseq_prune.saliency import Probe


def act(recipe: Recipe, step: int, probe: Probe, notes: Notes | None) -> Pruned:
    """Prune, or move what is pruned, as the schedule has it at ``step``.

    Args:
        step: updates completed.
        notes: those of the last time in this run; None at the first.
    """
    timetable = recipe.timetable()
    if isinstance(timetable, Threshold):
        return rise(recipe, timetable.level(step), probe, notes)
    if isinstance(timetable, Exchange) and notes is not None:
        return exchange(timetable, step, probe, notes)
    return Pruner(recipe).update(timetable.sparsity(step), probe)


def exchange(timetable: Exchange, step: int, probe: Probe, notes: Notes) -> Pruned:
    """Drop the smallest magnitudes of each tensor, and let as many others grow from zero.

    Sparse training at constant density: SET (Mocanu et al. 2018) brings weights back at random,
    RigL (Evci et al. 2020) where the gradient is largest. Where SET here differs from the paper
    stands at :class:`fairseq_prune.maths.schedule.Exchange`.

    What was dropped just now may come back at once, and then keeps its value (as in RigL's own
    program); a tensor that has fewer pruned weights than are to move moves only so many. Ties go
    to the lower index.

    Args:
        notes: of the pruning that came before; as counts do not change, they stay true, but for
            what is said of rows without a score.
    """
    assert probe.masks is not None
    by_gradient = timetable.growth == "gradient"
    slopes = gradient(probe.data, probe.weights) if by_gradient else {}
    fraction = timetable.fraction(step)
    masks = {}
    for name, weight in probe.weights.items():
        alive = probe.masks[name].to(weight.tensor.device)
        removed = probe.masks.removed(name)
        survivors = probe.masks.prunable(name) - removed
        moved = min(round_count(fraction, survivors), removed)
        worth = slopes[name].abs() if by_gradient else _drawn(probe, weight, step)
        masks[name] = _exchanged(weight, alive, survivors, moved, worth)
    found = Masks(masks, probe.masks.fixed, probe.masks.out)
    # no rows are scored
    return Pruned(found, find_extremes(probe.weights, found), without_unseen(notes))


def _drawn(probe: Probe, weight: Weight, step: int) -> Tensor:
    generator = probe.generator(f"{weight.name}@{step}")
    return torch.rand(weight.tensor.shape, generator=generator).to(weight.tensor.device)


def _exchanged(weight: Weight, alive: Tensor, survivors: int, moved: int, worth: Tensor) -> Tensor:
    """The mask after ``moved`` weights have gone and as many of the pruned ones have come."""
    if not moved:
        return alive
    magnitude = Score(weight.effective(), absolute=True, alive=alive, fixed=weight.fixed)
    stay = keep_largest(magnitude, survivors - moved, name=weight.name)
    come = keep_largest(Score(worth, alive=~stay, fixed=weight.fixed), moved, name=weight.name)
    return stay | come


def rise(recipe: Recipe, level: float, probe: Probe, notes: Notes | None) -> Pruned:
    """Remove what scores below ``level`` times the final threshold of its tensor.

    A rising threshold (Narang, Diamos, Sengupta and Elsen 2017, section 3). The paper takes the
    final threshold from a trained, dense model of the same kind. Here it is what the recipe's
    scheme would remove at once at the first step, and weights that have grown meanwhile are
    accounted for at the end: at level 1 the scheme decides again, so that the sparsity is
    exact. Before, no more is removed than the scheme would.

    Args:
        level: in [0, 1].
        notes: of the last time; None at the first.
    """

    def adjust(groups: Scores, budgets: Budgets) -> Budgets:
        cuts = (notes and notes.cuts) or {
            n: _cut(groups[n], mask) for n, mask in make_masks(groups, budgets).items()
        }
        if level >= 1.0:
            return Budgets(budgets, budgets.near, replace(budgets.found, cuts=cuts), budgets.masks)
        kept = {n: max(budgets[n], _above(groups[n], level * cuts[n])) for n in budgets}
        return Budgets(kept, found=Findings(cuts=cuts))

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
