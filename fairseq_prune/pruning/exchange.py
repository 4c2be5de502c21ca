"""Sparse training at constant density: pruned weights and kept ones change places.

SET (Mocanu et al. 2018) brings weights back at random, RigL (Evci et al. 2020) where the gradient
is largest. Each tensor keeps its number of weights. Where SET here differs from the paper stands at
:class:`fairseq_prune.maths.schedule.Exchange`.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from fairseq_prune.masks.state import Masks
from fairseq_prune.maths.schedule import Exchange
from fairseq_prune.maths.select import Score, keep_largest, round_count
from fairseq_prune.network.probing import gradient
from fairseq_prune.network.weights import Weight
from fairseq_prune.pruning.pruner import Pruned, find_extremes
from fairseq_prune.pruning.unseen import NOTES
from fairseq_prune.saliency import Probe


def exchange(timetable: Exchange, step: int, probe: Probe, notes: Mapping[str, Any]) -> Pruned:
    """Drop the smallest magnitudes of each tensor, and let as many others grow from zero.

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
    found = Masks(masks, probe.masks.fixed)
    still = {key: value for key, value in notes.items() if key not in NOTES}  # no rows are scored
    return Pruned(found, find_extremes(probe.weights, found), still)


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
