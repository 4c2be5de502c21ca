"""Masks for a model that reads its file's tensors under other names, or in other shapes."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from fairseq_prune.checkpoints import storage
from fairseq_prune.checkpoints.storage import CheckpointError
from fairseq_prune.masks.state import Masks
from fairseq_prune.network.weights import Weights

AsLoaded = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def fits(masks: Masks, weights: Weights) -> bool:
    """Whether every mask has a weight of its name and shape."""
    return all(
        name in weights and weights[name].tensor.shape == mask.shape for name, mask in masks.items()
    )


def as_loaded(masks: Masks, weights: Weights, stored: Mapping[str, Any], load: AsLoaded) -> Masks:
    """The masks as the model reads them: they go the way that the tensors go.

    A matrix that fairseq takes apart when it loads a file, extends or cuts takes its mask along;
    what is new in it is kept. Masks that fit as they are stay the same.

    Args:
        weights: of the model.
        stored: the tensors in the file that the masks are of.
        load: what the model makes of them.
    """
    if fits(masks, weights):
        return masks
    read = load(
        {
            name: _stand_in(value, masks.get(name)) if isinstance(value, Tensor) else value
            for name, value in stored.items()
        }
    )
    found = {name: mask for name, mask in masks.items() if name in read and name not in weights}
    fixed = {name: masks.fixed[name] for name in found if name in masks.fixed}
    for name, weight in weights.items():
        value = next((read[alias] for alias in weight.aliases if _is_mask(read.get(alias))), None)
        if value is not None:
            found[name] = value != 0
            if weight.fixed is not None and value.shape == weight.tensor.shape:
                (a, b) = fixed[name] = weight.fixed
                found[name].view(-1)[a:b] = True
    return Masks(found, fixed, masks.out)


def given_masks(
    origin: str, weights: Weights, load: AsLoaded | None, flag: str = "--prune-mask-from"
) -> Masks:
    """The masks of the checkpoint ``origin`` for these weights.

    Args:
        load: what the weights' model makes of a file's tensors; None where that is not known.
        flag: which has named the file.

    Raises CheckpointError where it holds none, or those of another model.
    """
    content = storage.load(origin)
    masks = storage.masks_of(content, origin)
    if masks is None:
        raise CheckpointError(
            f"{flag} {origin} holds no masks: it was never pruned, or shrink, export or a training "
            "without --user-dir fairseq_prune has dropped them."
        )
    if load is not None:
        masks = as_loaded(masks, weights, content["model"], load)
    storage.check_fits(masks, {name: w.tensor for name, w in weights.items()}, origin)
    return masks


def _stand_in(value: Tensor, mask: Tensor | None) -> Tensor:
    """Ones and zeros where there is a mask, NaN where there is none and could be one."""
    if mask is not None:
        return mask.to(torch.float32)
    if value.dim() < 2:  # a version, say, by which fairseq decides what to do
        return value
    return torch.full((), torch.nan).expand(value.shape)


def _is_mask(value: Any) -> bool:
    return isinstance(value, Tensor) and not bool(torch.isnan(value).any())
