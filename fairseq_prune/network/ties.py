"""Tied tensors of a state dict, found again where a file stores them apart.

On a GPU, fairseq 0.12.2 moves a model to the CPU one tensor at a time before it saves (trainer.py,
save_checkpoint), so that a shared embedding arrives in the file as several equal tensors.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from fairseq_prune.network.weights import is_prunable

_SAMPLE = 256


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
