"""Masks that keep the counts of others and nothing else: what a method has to beat.

Frankle, Dziugaite, Roy & Carbin 2020: if shuffling a mask inside each tensor costs nothing, the
method found how much to keep where, and not which.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from fairseq_prune.masks.state import Masks
from fairseq_prune.maths.score import Score
from fairseq_prune.maths.select import keep_largest


def shuffled(masks: Masks, seed: int) -> Masks:
    """Each tensor's mask in a random order: the same count in each tensor."""
    draw = torch.Generator().manual_seed(seed)
    found = {}
    for name, mask in masks.items():
        free = _free(masks, name)
        order = torch.randperm(len(free), generator=draw)
        found[name] = _with(masks, name, free, mask.reshape(-1)[free][order])
    return Masks(found, masks.fixed)


def random_by_class(masks: Masks, classes: Mapping[str, str], seed: int) -> Masks:
    """Random masks with the same count in each weight class."""
    draw = torch.Generator().manual_seed(seed)
    found: dict[str, Tensor] = {}
    for label in dict.fromkeys(classes[name] for name in masks):
        members = [name for name in masks if classes[name] == label]
        places = {name: _free(masks, name) for name in members}
        together = torch.cat([masks[name].reshape(-1)[places[name]] for name in members])
        together = together[torch.randperm(len(together), generator=draw)]
        parts = together.split([len(places[name]) for name in members])
        for name, part in zip(members, parts, strict=True):
            found[name] = _with(masks, name, places[name], part)
    return Masks({name: found[name] for name in masks}, masks.fixed)


def inverted(masks: Masks, weights: Mapping[str, Tensor]) -> Masks:
    """The smallest magnitudes instead: as many in each tensor as the mask keeps."""
    found = {}
    for name in masks:
        score = Score(weights[name].detach().abs().neg(), fixed=masks.fixed.get(name))
        found[name] = keep_largest(score, masks.prunable(name) - masks.removed(name), name=name)
    return Masks(found, masks.fixed)


def overlap(control: Masks, masks: Masks) -> float:
    """Of the prunable weights that ``control`` keeps, the fraction that ``masks`` keep too.

    Pad rows, which every mask keeps, do not count. 0 where the control keeps nothing.
    """
    both = kept = 0
    for name, mask in control.items():
        free = _free(control, name)
        own, other = mask.reshape(-1)[free], masks[name].reshape(-1)[free]
        both += int(torch.count_nonzero(own & other))
        kept += int(torch.count_nonzero(own))
    return both / kept if kept else 0.0


def _free(masks: Masks, name: str) -> Tensor:
    """Flat indices of what can be pruned."""
    a, b = masks.fixed.get(name, (0, 0))
    return torch.cat([torch.arange(a), torch.arange(b, masks[name].numel())])


def _with(masks: Masks, name: str, places: Tensor, kept: Tensor) -> Tensor:
    flat = torch.ones(masks[name].numel(), dtype=torch.bool)
    flat[places] = kept
    return flat.reshape(masks[name].shape)
