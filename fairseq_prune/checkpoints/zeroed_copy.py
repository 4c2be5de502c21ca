"""Zeros written into a checkpoint, wherever it keeps a copy of a pruned weight."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fairseq_prune.masks.state import Masks
from fairseq_prune.network.weights import SHADOW, Weight

Tick = Callable[[int], None]
_BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
EMA = ("ema", "ema_fp32_params")


def with_zeros(
    content: Mapping[str, Any], weights: Mapping[str, Weight], masks: Masks, tick: Tick
) -> dict[str, Any]:
    """A copy of the checkpoint whose pruned weights are +0.0 in the model and its averages (EMA).

    Tied tensors are one tensor in the copy. The optimizer's state is left out: a pruned model
    starts a new optimisation. fairseq's shadow copies of encoder weights become zeros, as in a
    fresh model: whatever they hold, fairseq fills them again when it loads the file, and left
    alone they would keep the pruned weights' values in it.

    Args:
        weights: the checkpoint's weights, as :func:`fairseq_prune.tasks.opening.open_checkpoint`
            found them; the masks may be of some of them only.
        tick: called with each weight's size when it is done.
    """
    result = {key: value for key, value in content.items() if key != "last_optimizer_state"}
    result["model"] = copy.copy(content["model"])  # keeps an OrderedDict's _metadata too
    states = [result["model"]]
    if isinstance(content.get("extra_state"), Mapping):
        result["extra_state"] = copy.copy(content["extra_state"])
        for key in EMA:
            if isinstance(content["extra_state"].get(key), Mapping):
                result["extra_state"][key] = copy.copy(content["extra_state"][key])
                states.append(result["extra_state"][key])
    made: dict[Any, Tensor] = {}
    for name, weight in weights.items():
        mask = masks[name] if name in masks and masks.removed(name) else None
        for state in states:
            _replace(state, weight.aliases, mask, made)
        tick(weight.tensor.numel())
    for state in states:
        _tidy(state, made)
    return result


def _replace(
    state: dict[str, Any], aliases: tuple[str, ...], mask: Tensor | None, made: dict[Any, Tensor]
) -> None:
    first: tuple[Tensor, Tensor] | None = None
    for alias in aliases:
        old = state.get(alias)
        if not isinstance(old, Tensor):
            continue
        if first is not None and torch.equal(first[0], old):
            state[alias] = first[1]  # a tie, also where the file had lost it
            continue
        key = (old.data_ptr(), tuple(old.shape), old.dtype)
        if key not in made:
            fits = mask is not None and mask.shape == old.shape
            made[key] = _masked(old, mask) if fits and mask is not None else old
        state[alias] = made[key]
        first = first or (old, made[key])


def _masked(tensor: Tensor, mask: Tensor) -> Tensor:
    # The bits of a float times 0 are those of +0.0, whatever it was; NaN included. And this is
    # almost twice as fast as torch.where.
    bits = _BITS[tensor.element_size()]
    result = torch.empty(tensor.shape, dtype=tensor.dtype)
    old, new = tensor.contiguous().view(bits).numpy(), result.view(bits).numpy()
    np.multiply(old, mask.numpy(), out=new)
    return result


def _tidy(state: dict[str, Any], made: dict[Any, Tensor]) -> None:
    """Zero the shadow copies, and copy out what is only a part of a larger piece of memory.

    cuDNN keeps an LSTM's parameters in one piece; a file would hold all of it for each part that
    is left, the unpruned weights included.
    """
    for name, value in state.items():
        if not isinstance(value, Tensor):
            continue
        if SHADOW.search(name):
            state[name] = torch.zeros_like(value)
        elif value.untyped_storage().nbytes() > value.numel() * value.element_size():
            key = (value.data_ptr(), tuple(value.shape), value.stride(), "whole")
            state[name] = made.setdefault(key, value.clone())
