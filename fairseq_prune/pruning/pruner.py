"""Pruner: from what weights are worth to which are kept."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from torch import Tensor

from fairseq_prune.masks.state import Masks
from fairseq_prune.maths.extremes import extremes
from fairseq_prune.maths.select import Budgets, Scores, make_masks
from fairseq_prune.maths.structure import NofM, Units
from fairseq_prune.network.axes import outside
from fairseq_prune.network.units import Axes
from fairseq_prune.network.weights import Weights
from fairseq_prune.pruning.groups import Groups, groups_of, sums_by_class
from fairseq_prune.pruning.notes import Notes
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.pruning.unseen import note_unseen
from fairseq_prune.pruning.weight_norm import check_rows
from fairseq_prune.saliency import Probe

Extremes = Mapping[str, tuple[float | None, float | None]]
Adjust = Callable[[Scores, Budgets], Budgets]


@dataclass(frozen=True)
class Pruned:
    """What one pruning did.

    Args:
        masks: what is kept now.
        extremes: by weight, the largest magnitude removed and the smallest kept.
        notes: what the scheme found on the way, what was removed before where anything was, and
            what :mod:`fairseq_prune.pruning.unseen` says.
    """

    masks: Masks
    extremes: Extremes = field(default_factory=dict)
    notes: Notes = field(default_factory=Notes)


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
        structure = self.recipe.groups()
        if isinstance(structure, Units) and len(structure.turns) > 1:
            return self._in_turns(structure, sparsity, probe)
        masks = probe.masks or Masks({})
        axes = None if probe.axes is None else outside(probe.axes, masks.out)
        groups = groups_of(structure, probe.weights, axes)
        before = sums_by_class(groups.count(masks), groups.classes)
        start = _share_gone(before.values())
        rounds = self.recipe.entry().rounds
        inner = probe
        for k in range(1, rounds):
            # the same share of what is left in each round
            left = (1.0 - start) ** (1.0 - k / rounds) * (1.0 - sparsity) ** (k / rounds)
            inner = replace(inner, masks=self._once(1.0 - left, inner, groups).masks)
        pruned = self._once(sparsity, inner, groups, adjust)
        extremes = find_extremes(probe.weights, pruned.masks)
        counts = {label: away for label, (_, away) in before.items()}
        notes = replace(pruned.notes, before=counts if any(counts.values()) else {})
        return replace(pruned, extremes=extremes, notes=notes)

    def _in_turns(self, structure: Units, sparsity: float, probe: Probe) -> Pruned:
        """Layers first; then, at the same sparsity, the units of those that stay."""
        masks, notes = probe.masks, Notes()
        for kinds in structure.turns:
            assert probe.axes is not None
            axes = {name: axis for name, axis in probe.axes.items() if axis.kind in kinds}
            turn = replace(self.recipe, structure="+".join(kinds))
            pruned = Pruner(turn).update(sparsity, replace(probe, masks=masks, axes=axes))
            masks, found = pruned.masks, pruned.notes
            # by class what both turns found; a threshold, say, is of one of them only
            both: dict[str, Any] = {
                name: {**(getattr(notes, name) or {}), **(getattr(found, name) or {})}
                for name in ("before", "sigma", "thresholds")
            }
            notes = replace(found, threshold=None, lambda_=None, **both)
        return replace(pruned, notes=notes)

    def _once(
        self, sparsity: float, probe: Probe, groups: Groups, adjust: Adjust | None = None
    ) -> Pruned:
        structure = self.recipe.groups()
        ranked, scores = groups.rank(self.recipe.resolved.saliency, probe)
        notes, out = Notes(), set[str]()
        if isinstance(structure, NofM):
            kept = {name: structure.masks(score) for name, score in scores.items()}
        else:
            budgets = self._budgets(ranked, sparsity, probe, groups)
            budgets = budgets if adjust is None else adjust(ranked, budgets)
            chosen = make_masks(ranked, budgets)
            kept, out = groups.expand(chosen, scores, probe), groups.out(chosen)
            notes = Notes(**vars(budgets.found))
        others = {n: mask for n, mask in (probe.masks or {}).items() if n not in kept}
        masks = _with_pads({**others, **kept}, probe, out)
        if self.recipe.entry().needs == "data":
            notes = note_unseen(notes, scores, masks, probe, structure)
        return Pruned(masks, notes=notes)

    def _budgets(self, ranked: Scores, sparsity: float, probe: Probe, groups: Groups) -> Budgets:
        """How much of each tensor survives: as its own scores have it, or another saliency's."""
        recipe = self.recipe
        if recipe.ratios is None:
            least = least_of(recipe, {n: s.numel_prunable for n, s in ranked.items()})
            least = with_one_layer(
                least, {n: a for n, a in (probe.axes or {}).items() if n in ranked}
            )
            found = recipe.allocation(ranked, sparsity, groups.classes, least=least)
            if recipe.multiple is None:
                return found
            return in_multiples(found, ranked, recipe.multiple)
        model = replace(recipe, saliency=recipe.ratios, ratios=None)
        counts = groups.count(Pruner(model).update(sparsity, probe).masks)
        return Budgets({name: counts[name][0] - counts[name][1] for name in ranked})


def _with_pads(kept: Mapping[str, Tensor], probe: Probe, out: Collection[str]) -> Masks:
    """The masks, with pad rows fixed where they are whole; units go out of them for good."""
    masks, fixed, before = dict(kept), {}, probe.masks
    for name, weight in probe.weights.items():
        if name not in kept or weight.fixed is None:
            continue
        if before is not None and name in before and name not in before.fixed:
            masks[name] = masks[name] & before[name].to(masks[name].device)
        if bool(masks[name].reshape(-1)[slice(*weight.fixed)].all()):
            fixed[name] = weight.fixed
    return Masks(masks, fixed, {*out, *(() if before is None else before.out)})


def check_structure(recipe: Recipe, weights: Weights) -> None:
    """Raises ValueError, naming the tensor, where the recipe's structure does not fit it."""
    groups = recipe.groups()
    if not isinstance(groups, Units):  # units are found in the network, and fit it
        for name, weight in weights.items():
            groups.check(name, tuple(weight.tensor.shape))
    check_rows(recipe, weights)


def _share_gone(counts: Iterable[tuple[int, int]]) -> float:
    total, away = map(sum, zip((0, 0), *counts, strict=True))
    return away / total if total else 0.0


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


def with_one_layer(least: dict[str, int] | None, axes: Axes) -> dict[str, int] | None:
    """What stays in any case, one layer of each stack included: none is no network."""
    stacks = {name: 1 for name, axis in axes.items() if axis.modules}
    return {**stacks, **least} if least else stacks or None


def in_multiples(budgets: Budgets, scores: Scores, multiple: int) -> Budgets:
    """The budgets, each the nearest multiple (the larger of two), and at most what is alive.

    No axis becomes empty by this: where fewer than half a multiple would be left, one is.
    """
    kept = {}
    for name, count in budgets.items():
        nearest = max(multiple, (2 * count + multiple) // (2 * multiple) * multiple)
        kept[name] = min(nearest, scores[name].numel_alive) if count else 0
    return Budgets(kept, found=budgets.found)
