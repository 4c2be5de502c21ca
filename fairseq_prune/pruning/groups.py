"""What a recipe ranks: groups of weights inside each tensor, or units across tensors."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor

from fairseq_prune.masks.state import Masks
from fairseq_prune.maths.score import Scores
from fairseq_prune.maths.structure import NofM, Structure, Units
from fairseq_prune.network.axes import on_axes, outside
from fairseq_prune.network.unit_masks import cut, gone, pool
from fairseq_prune.network.units import Axes, Axis
from fairseq_prune.network.weights import Weights
from fairseq_prune.saliency import SALIENCIES, UNIT_SALIENCIES, Probe


class Groups(Protocol):
    """Groups by the name of what holds them: a tensor, or an axis of units."""

    classes: dict[str, str]

    def rank(self, saliency: str, probe: Probe) -> tuple[Scores, Scores]:
        """The groups' scores by a saliency, and those of the weights, where it has any."""

    def expand(self, kept: Mapping[str, Tensor], scores: Scores, probe: Probe) -> dict[str, Tensor]:
        """The masks of weights for the groups that are kept; what was gone stays so."""

    def count(self, masks: Masks) -> dict[str, tuple[int, int]]:
        """How many groups there are in masks, and how many of them are gone."""

    def out(self, kept: Mapping[str, Tensor]) -> set[str]:
        """The layers that are gone as a whole where these groups are kept."""

    def turns(self, counts: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Counts of groups, those that are ranked together together."""


class TensorGroups:
    """Groups that lie inside a tensor each."""

    def __init__(self, structure: Structure | NofM, weights: Weights) -> None:
        self._structure = structure
        self.classes = {name: weight.weight_class for name, weight in weights.items()}

    def rank(self, saliency: str, probe: Probe) -> tuple[Scores, Scores]:
        """Scores pooled by the structure; a pattern N:M ranks weights."""
        scores = SALIENCIES[saliency].score(probe)
        if isinstance(self._structure, NofM):
            return scores, scores
        return {name: self._structure.pool(score) for name, score in scores.items()}, scores

    def expand(self, kept: Mapping[str, Tensor], scores: Scores, probe: Probe) -> dict[str, Tensor]:
        """Each tensor's mask."""
        assert not isinstance(self._structure, NofM)
        return {name: self._structure.expand(kept[name], score) for name, score in scores.items()}

    def count(self, masks: Masks) -> dict[str, tuple[int, int]]:
        """By tensor."""
        return {n: self._structure.count(mask, masks.fixed.get(n)) for n, mask in masks.items()}

    def out(self, kept: Mapping[str, Tensor]) -> set[str]:
        """None: no layer goes as such."""
        return set()

    def turns(self, counts: Mapping[str, Any]) -> list[dict[str, Any]]:
        """All of them."""
        return [dict(counts)]


class UnitGroups:
    """Units, each a slice of several tensors."""

    def __init__(self, structure: Units, axes: Axes, weights: Weights) -> None:
        self._pooled, self._axes, self._weights = structure.pooled, axes, weights
        self.classes = {name: axis.label for name, axis in axes.items()}

    def rank(self, saliency: str, probe: Probe) -> tuple[Scores, Scores]:
        """The saliency's own scores of units, or those of their weights pooled."""
        probe = replace(probe, weights=on_axes(probe.weights, self._axes), axes=self._axes)
        if saliency in UNIT_SALIENCIES:
            return UNIT_SALIENCIES[saliency].score(probe), {}
        scores = SALIENCIES[saliency].score(probe)
        return {n: pool(axis, scores, self._pooled) for n, axis in self._axes.items()}, scores

    def expand(self, kept: Mapping[str, Tensor], scores: Scores, probe: Probe) -> dict[str, Tensor]:
        """The masks of all tensors that have a place on an axis."""
        return cut(self._axes, kept, self._weights, probe.masks)

    def count(self, masks: Masks) -> dict[str, tuple[int, int]]:
        """By axis. What lies in a layer that is gone counts no more: the layer does."""
        return {
            name: (axis.units, int(self._gone(axis, masks).sum()))
            for name, axis in outside(self._axes, masks.out).items()
        }

    def out(self, kept: Mapping[str, Tensor]) -> set[str]:
        """The layers among the units that are not kept."""
        return {
            layer
            for name, axis in self._axes.items()
            for layer, stays in zip(axis.modules, kept[name].tolist(), strict=False)
            if not stays
        }

    def turns(self, counts: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Layers, and the units inside them."""
        parts: list[dict[str, Any]] = [{}, {}]
        for name, count in counts.items():
            parts[not self._axes[name].modules][name] = count
        return [part for part in parts if part]

    def _gone(self, axis: Axis, masks: Masks) -> Tensor:
        if axis.modules:
            return torch.tensor([layer in masks.out for layer in axis.modules])
        return gone(axis, masks, self._weights)


def groups_of(structure: Structure | NofM | Units, weights: Weights, axes: Axes | None) -> Groups:
    """The groups of these weights."""
    if isinstance(structure, Units):
        assert axes is not None
        return UnitGroups(structure, axes, weights)
    return TensorGroups(structure, weights)


def sums_by_class(
    counts: Mapping[str, tuple[int, int]], classes: Mapping[str, str]
) -> dict[str, tuple[int, int]]:
    """Counts added up by class."""
    found: dict[str, tuple[int, int]] = {}
    for name, (total, away) in counts.items():
        before: Any = found.get(classes[name], (0, 0))
        found[classes[name]] = (before[0] + total, before[1] + away)
    return found
