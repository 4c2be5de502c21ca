"""Tied tensors of a state dict, found again where a file stores them apart.

On a GPU, fairseq 0.12.2 moves a model to the CPU one tensor at a time before it saves (trainer.py,
save_checkpoint), so that a shared embedding arrives in the file as several equal tensors.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from fairseq_prune.network.weights import SHADOW, is_prunable

_SAMPLE = 256
_NO_WEIGHT = re.compile(r"(^|\.)(version|_float_tensor)$")


def retie(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state with one tensor where it has several equal ones, the first of them.

    Only matrices that can be pruned are looked at, and constant ones (all zero, say) are left
    alone: they can be equal by chance. No trained matrix equals another in every bit.
    """
    tied = dict(state)
    seen: dict[tuple[Any, ...], list[Tensor]] = {}
    for name, value in state.items():
        if not isinstance(value, Tensor) or not is_prunable(name, value):
            continue
        alike = seen.setdefault(_fingerprint(value), [])
        same = next((other for other in alike if _same(other, value)), None)
        if same is None:
            alike.append(value)
        else:
            tied[name] = same
    return tied


def owners_of(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Each name's first name among those that share its memory and shape."""
    first: dict[Any, str] = {}
    return {
        name: first.setdefault((value.data_ptr(), tuple(value.shape)), name)
        if value.numel()
        else name
        for name, value in tensors.items()
    }


def parameters_in(model: Mapping[str, Any]) -> dict[str, Tensor]:
    """A model's parameters by their first name, tied ones once, without buffers and shadow copies.

    Buffers are fairseq's ``version`` and ``_float_tensor``.
    """
    found: dict[int, tuple[str, Tensor]] = {}
    for name, value in retie(model).items():
        if isinstance(value, Tensor) and not SHADOW.search(name) and not _NO_WEIGHT.search(name):
            found.setdefault(value.data_ptr(), (name, value))
    return dict(found.values())


def parameter_count(model: Mapping[str, Any]) -> int:
    """How many parameters a model has, see :func:`parameters_in`."""
    return sum(value.numel() for value in parameters_in(model).values())


def _fingerprint(tensor: Tensor) -> tuple[Any, ...]:
    flat = tensor.detach().reshape(-1)
    sample = flat[:: max(1, flat.numel() // _SAMPLE)].contiguous()
    return tensor.dtype, tuple(tensor.shape), bytes(sample.view(torch.uint8).numpy())


def _same(one: Tensor, other: Tensor) -> bool:
    if one.data_ptr() == other.data_ptr():
        return True
    if not torch.equal(one, other):
        return False
    return not bool((one == one.reshape(-1)[0]).all())
