"""What a checkpoint's pruning looks like: by class, by weight, and for programs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from fairseq_prune.checkpoints.checkpoint import Opened
from fairseq_prune.checkpoints.record import Record
from fairseq_prune.checkpoints.two_of_four import Eligibility, eligibility, summed
from fairseq_prune.checkpoints.units import groups_in
from fairseq_prune.masks.state import Masks
from fairseq_prune.maths.structure import NofM, Units
from fairseq_prune.network.weights import Weight, Weights
from fairseq_prune.pruning.pruner import Extremes, find_extremes, merge_extremes
from fairseq_prune.pruning.summary import ClassRow, by_class


@dataclass(frozen=True)
class View:
    """A checkpoint's weights as a table.

    Args:
        weights: those that the masks cover; all that can be pruned where there are none.
        uncovered: weights without a mask in a pruned checkpoint: excluded, or frozen.
        units: where units are pruned, how many an axis has and how many are gone.
    """

    rows: list[ClassRow]
    weights: Weights
    masks: Masks
    record: Record | None
    uncovered: tuple[str, ...] = ()
    units: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def pruned(self) -> bool:
        """Whether the checkpoint has masks."""
        return self.record is not None and self.record.masks is not None

    def eligible(self) -> list[Eligibility]:
        """By tensor, whether 2:4 kernels take it; empty where nothing is pruned in that pattern."""
        if not self.pruned:
            return []
        assert self.record is not None
        asked = isinstance(self.record.recipe.groups(), NofM)
        return eligibility(self.weights, self.masks, asked)

    def as_dict(self) -> dict[str, Any]:
        """The view for JSON."""
        record, eligible = self.record, self.eligible()
        return {
            "weights": [self._weight(weight) for weight in self.weights.values()],
            "classes": [row.as_dict() for row in self.rows],
            "sparsity": self.masks.sparsity(),
            "digest": self.masks.digest() if self.pruned else None,
            "recipe": None if record is None else record.recipe.settings,
            "signature": None if record is None else record.recipe.signature(),
            "command": None if record is None else record.command,
            "version": None if record is None else record.version,
            "uncovered": list(self.uncovered),
            "units": {name: list(counts) for name, counts in self.units.items()},
            "two_of_four": summed(eligible) if eligible else None,
        }

    def _weight(self, weight: Weight) -> dict[str, Any]:
        return {
            "name": weight.name,
            "class": weight.weight_class,
            "shape": list(weight.tensor.shape),
            "prunable": self.masks.prunable(weight.name),
            "removed": self.masks.removed(weight.name),
            "aliases": list(weight.aliases),
        }


def view(opened: Opened, record: Record | None, *, fresh: bool = False) -> View:
    """The weights of a checkpoint under a record's masks, or under none.

    Args:
        fresh: whether the record's extremes are of the weights as they are. If not, smallest kept
            is looked for again; largest removed stays what it was when those weights went.
    """
    masks = record.masks if record is not None else None
    covered = {n: w for n, w in opened.weights.items() if masks is None or n in masks}
    uncovered = tuple(n for n in opened.weights if n not in covered)
    shown = opened.dense_masks() if masks is None else masks
    extremes: Extremes
    if record is not None and fresh:
        extremes = record.extremes
    else:
        before: Extremes = {} if record is None else record.extremes
        extremes = merge_extremes(before, find_extremes(covered, shown))
    rows = by_class(shown, {n: w.weight_class for n, w in covered.items()}, extremes)
    units = {}
    if record is not None and masks is not None and isinstance(record.recipe.groups(), Units):
        units = groups_in(opened, record.recipe).count(masks)
    return View(rows, covered, shown, record, uncovered, units)


def zeros_by_class(weights: Weights) -> dict[str, int]:
    """By class, how many weights are exactly zero, where any are (pad rows left out)."""
    counts: dict[str, int] = {}
    for weight in weights.values():
        flat = weight.tensor.reshape(-1)
        a, b = weight.fixed or (0, 0)
        zeros = (
            weight.prunable - int(torch.count_nonzero(flat)) + int(torch.count_nonzero(flat[a:b]))
        )
        if zeros:
            counts[weight.weight_class] = counts.get(weight.weight_class, 0) + zeros
    return counts
