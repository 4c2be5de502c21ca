"""From scores of weights to scores of units, and from what units go to masks of weights."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from fairseq_prune.maths.score import Score
from fairseq_prune.network.inputs import Reading
from fairseq_prune.network.units import Axes, Axis, Place
from fairseq_prune.network.weights import Weights

Which = Literal["places", "readers"]


def pool(axis: Axis, scores: Mapping[str, Score], pooled: str) -> Score:
    """The score of each unit: the mean, max, sum or norm of the scores of the weights it has left.

    A unit is gone when all of it is. What belongs to a unit twice, such as a weight from an LSTM's
    cell to itself, counts twice.
    """
    parts = [_part(axis, place, scores[place.name], pooled) for place in _scored(axis, scores)]
    counts = sum(count for _, count in parts)
    assert isinstance(counts, Tensor)
    values = torch.stack([value for value, _ in parts])
    if pooled == "max":
        found = values.amax(dim=0)
    else:
        found = values.sum(dim=0)
        found = found / counts.clamp_min(1) if pooled == "mean" else found
        found = found.sqrt() if pooled == "norm" else found
    alive = counts > 0
    return Score(found.masked_fill(~alive, 0.0), alive=None if bool(alive.all()) else alive)


def _scored(axis: Axis, scores: Mapping[str, Any]) -> list[Place]:
    return [place for place in axis.places if place.name in scores]


def _part(axis: Axis, place: Place, score: Score, pooled: str) -> tuple[Tensor, Tensor]:
    """What one place adds to each unit's sum (or largest), and how many weights that is."""
    present = score.present
    values = score.values.detach().to(torch.float64)
    values = (values.abs() if score.absolute else values) / score.scale
    values = values.square() if pooled == "norm" else values
    largest = pooled == "max"
    values = torch.where(present, values, -torch.inf if largest else 0.0)
    along = place.rows(values)
    along = along.amax(dim=1) if largest else along.sum(dim=1)
    counts = place.rows(present).sum(dim=1)
    by_unit = place.per_unit(along, axis.units, -torch.inf if largest else 0.0)
    total = by_unit.amax(dim=1) if largest else by_unit.sum(dim=1)
    return total, place.per_unit(counts, axis.units).sum(dim=1)


def gone(axis: Axis, masks: Mapping[str, Tensor], weights: Weights) -> Tensor:
    """Which units have no weight left in ``masks``: bool, ``(units,)``.

    Args:
        masks: those of some of the ``weights``; the others are whole.
    """
    alive = torch.zeros(axis.units, dtype=torch.bool)
    for place in _scored(axis, weights):
        if place.name not in masks:
            alive[slice(None) if place.unit is None else place.unit] = True
            continue
        mask, fixed = masks[place.name].cpu(), weights[place.name].fixed
        if fixed is not None:  # a pad row is True whatever happens
            mask = mask.clone()
            mask.reshape(-1)[slice(*fixed)] = False
        here = place.rows(mask).any(dim=1)
        alive |= place.per_unit(here, axis.units).any(dim=1)
    return ~alive


def cut(
    axes: Axes, kept: Mapping[str, Tensor], weights: Weights, masks: Mapping[str, Tensor] | None
) -> dict[str, Tensor]:
    """The masks of the weights in ``axes``, without the units that are not ``kept``.

    A unit goes out of a table's pad row too: shared with a softmax, the row has an effect.

    Args:
        kept: bool by axis, ``(units,)``.
        masks: what was kept so far.
    """
    found: dict[str, Tensor] = {}
    for axis in axes.values():
        dead = ~kept[axis.name]
        for place in _scored(axis, weights):
            mask = found.setdefault(place.name, _fresh(place.name, weights, masks))
            where = axis.indices(place, dead).to(mask.device)
            mask.index_fill_(place.dim, where, False)
    return found


def _fresh(name: str, weights: Weights, masks: Mapping[str, Tensor] | None) -> Tensor:
    tensor = weights[name].tensor
    if masks is not None and name in masks:
        return masks[name].to(tensor.device, copy=True)
    return torch.ones(tensor.shape, dtype=torch.bool, device=tensor.device)


def sums(axis: Axis, values: Mapping[str, Tensor], part: Which = "places") -> Tensor:
    """The sum of ``values`` (of the weights' shapes, by name) over each unit: ``(units,)``.

    Args:
        part: which of the axis' places count.
    """
    places = [place for place in getattr(axis, part) if place.name in values]
    return _sum(axis, [(place, values[place.name]) for place in places])


def sums_over_readers(axis: Axis, values: Mapping[Reading, Tensor]) -> Tensor:
    """The sum of ``values`` over what reads each unit: ``(units,)``.

    Args:
        values: of the weights' shapes, by name and the dimension that runs along the axis.
    """
    return _sum(axis, [(place, values[place.name, place.dim]) for place in axis.readers])


def _sum(axis: Axis, parts: Sequence[tuple[Place, Tensor]]) -> Tensor:
    total = None
    for place, values in parts:
        own = place.per_unit(place.rows(values).sum(dim=1), axis.units).sum(dim=1)
        total = own if total is None else total + own
    assert total is not None
    return total
