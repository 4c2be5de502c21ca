"""What a recipe does at one step of training."""

from collections.abc import Mapping
from typing import Any

from fairseq_prune.maths.schedule import Exchange, Threshold
from fairseq_prune.pruning.exchange import exchange
from fairseq_prune.pruning.pruner import Pruned, Pruner
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.pruning.rising import rise
from fairseq_prune.saliency import Probe


def act(recipe: Recipe, step: int, probe: Probe, notes: Mapping[str, Any] | None) -> Pruned:
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
