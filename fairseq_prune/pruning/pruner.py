"""Pruner: from what weights are worth to which are kept."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from fairseq_prune.masks.state import Masks
from fairseq_prune.maths.allocate import ALLOCATIONS
from fairseq_prune.maths.compare import extremes
from fairseq_prune.maths.select import Budgets, Scores, make_masks
from fairseq_prune.maths.structure import NofM, Structure
from fairseq_prune.network.weights import Weights, is_embedding
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.saliency import SALIENCIES, Probe

Extremes = Mapping[str, tuple[float | None, float | None]]
Adjust = Callable[[Scores, Budgets], Budgets]


@dataclass(frozen=True)
class Pruned:
    """What one pruning did.

    Args:
        masks: what is kept now.
        extremes: by weight, the largest magnitude removed and the smallest kept.
        notes: what the scheme found on the way (lambda and sigma of class-distribution), what
            was removed ``before``, by class, where anything was, and by weight how many rows the
            sample to score on left ``unseen``.
    """

    masks: Masks
    extremes: Extremes = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Pruner:
    """Prunes as a recipe says: scores, spends the budget, keeps the largest."""

    recipe: Recipe

    def update(self, sparsity: float, probe: Probe, adjust: Adjust | None = None) -> Pruned:
        """Prune to ``sparsity``; what was pruned before stays pruned.

        Args:
            adjust: what to make of the scheme's budgets before they are spent.

        Raises ValueError where the scores are not numbers.
        """
        rounds = SALIENCIES[self.recipe.settings["saliency"]].rounds
        start = 0.0 if probe.masks is None else probe.masks.sparsity()
        inner = probe
        for k in range(1, rounds):
            # the same share of what is left in each round
            left = (1.0 - start) ** (1.0 - k / rounds) * (1.0 - sparsity) ** (k / rounds)
            inner = replace(inner, masks=self._once(1.0 - left, inner).masks)
        pruned = self._once(sparsity, inner, adjust)
        classes = {name: w.weight_class for name, w in probe.weights.items()}
        before = _before(probe.masks, classes, self.recipe.groups())
        extremes = find_extremes(probe.weights, pruned.masks)
        return replace(pruned, extremes=extremes, notes={**pruned.notes, **before})

    def _once(self, sparsity: float, probe: Probe, adjust: Adjust | None = None) -> Pruned:
        scores = SALIENCIES[self.recipe.settings["saliency"]].score(probe)
        structure = self.recipe.groups()
        notes: dict[str, Any] = {}
        if isinstance(structure, NofM):
            kept = {name: structure.masks(score) for name, score in scores.items()}
        else:
            groups = {name: structure.pool(score) for name, score in scores.items()}
            budgets = self._budgets(groups, sparsity, probe)
            budgets = budgets if adjust is None else adjust(groups, budgets)
            tiles = make_masks(groups, budgets)
            kept = {name: structure.expand(tiles[name], score) for name, score in scores.items()}
            notes |= budgets.notes
        fixed = {name: w.fixed for name, w in probe.weights.items() if w.fixed}
        masks = Masks(kept, fixed)
        if SALIENCIES[self.recipe.settings["saliency"]].needs == "data":
            notes |= _unseen(scores, probe.weights)
        return Pruned(masks, notes=notes)

    def _budgets(self, groups: Scores, sparsity: float, probe: Probe) -> Budgets:
        """How much of each tensor survives: as its own scores have it, or another saliency's."""
        settings, structure = self.recipe.settings, self.recipe.groups()
        if settings["ratios"] is None:
            classes = {name: w.weight_class for name, w in probe.weights.items()}
            return ALLOCATIONS[settings["scheme"]].allocate(groups, sparsity, classes)
        model = replace(self.recipe, saliency=settings["ratios"], ratios=None)
        found = Pruner(model).update(sparsity, probe)
        counts = {n: structure.count(m, found.masks.fixed.get(n)) for n, m in found.masks.items()}
        return Budgets({name: total - gone for name, (total, gone) in counts.items()})


def check_structure(recipe: Recipe, weights: Weights) -> None:
    """Raises ValueError, naming the tensor, where the recipe's structure does not fit a shape."""
    groups = recipe.groups()
    for name, weight in weights.items():
        groups.check(name, tuple(weight.tensor.shape))


def _before(
    masks: Masks | None, classes: Mapping[str, str], structure: Structure | NofM
) -> dict[str, dict[str, int]]:
    """By class, what was removed already: there, more than the sparsity asks for may be gone."""
    counts: dict[str, int] = {}
    for name in masks or ():
        assert masks is not None
        gone = structure.count(masks[name], masks.fixed.get(name))[1]
        counts[classes[name]] = counts.get(classes[name], 0) + gone
    return {"before": counts} if any(counts.values()) else {}


def _unseen(scores: Scores, weights: Weights) -> dict[str, dict[str, int]]:
    """By weight, how many rows of an embedding have no score at all: tokens not in the sample."""
    counts = {}
    for name, score in scores.items():
        if is_embedding(name):
            rows = score.values.flatten(1)
            pads = 1 if weights[name].fixed else 0
            counts[name] = int((~rows.any(dim=1)).sum()) - pads
    seen = {name: count for name, count in counts.items() if count > 0}
    return {"unseen": seen} if seen else {}


def find_extremes(weights: Weights, masks: Mapping[str, Tensor]) -> Extremes:
    """By weight, the largest magnitude that the masks remove and the smallest that they keep."""
    return {
        name: extremes(w.effective(), masks[name], w.fixed)
        for name, w in weights.items()
        if name in masks
    }


def merge_extremes(old: Extremes, new: Extremes) -> dict[str, tuple[float | None, float | None]]:
    """Extremes over several prunings: weights removed earlier are zero by now."""
    merged = {}
    for name, (removed, kept) in new.items():
        before = old.get(name, (None, None))[0]
        seen = [value for value in (before, removed) if value is not None]
        merged[name] = (max(seen) if seen else None, kept)
    return merged
