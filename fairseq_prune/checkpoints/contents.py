"""What a checkpoint must be like before anything computes with it; the file may be anybody's.

What is checked: that it is a tree of plain values and not too large as one, that its tensors are
ordinary and no larger than the file, and that its entries are of the kinds that fairseq writes.
"""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

import torch
from _fairseq_prune_compat.pickled import FREE, RATIO
from _fairseq_prune_compat.values import values_of
from torch import Tensor

_MAPPINGS = ("extra_state", "task_state", "last_optimizer_state", "model")
_SETTINGS = ("cfg", "args")


def check_contents(loaded: Any, size: int) -> None:
    """Raise ValueError, with the end of a sentence that begins with the file's name.

    Args:
        loaded: what torch read.
        size: of the file, in bytes.
    """
    tensors: dict[Any, int] = {}
    for value in values_of(loaded):
        if isinstance(value, Tensor):
            _check_ordinary(value)
            key = value.data_ptr(), tuple(value.shape), value.stride()
            tensors[key] = value.numel() * value.element_size()
        elif isinstance(value, dict) and set(getattr(value, "__dict__", ())) - {"_metadata"}:
            raise ValueError("has a dict with attributes of its own")
    claimed = sum(tensors.values())
    if claimed > max(FREE, RATIO * size):
        raise ValueError(f"has tensors of {claimed:,} bytes in a file of {size:,}")
    if isinstance(loaded, dict):
        _check_entries(loaded)


def _check_ordinary(tensor: Tensor) -> None:
    is_plain = type(tensor) in (Tensor, torch.nn.Parameter) and tensor.layout == torch.strided
    if not is_plain or tensor.device.type != "cpu" or tensor.is_quantized:
        raise ValueError("has a tensor that is no ordinary one")


def _check_entries(loaded: dict[Any, Any]) -> None:
    for key in _MAPPINGS:
        entry = loaded.get(key)
        if entry is not None and not isinstance(entry, Mapping):
            raise ValueError(f"has no dict as `{key}`")
    for key in _SETTINGS:
        entry = loaded.get(key)
        # some versions of fairseq stored omegaconf's objects
        known = isinstance(entry, Mapping | Namespace) or "omegaconf" in type(entry).__module__
        if entry is not None and not known:
            raise ValueError(f"has no settings as `{key}`")
    if not isinstance(loaded.get("optimizer_history", []), list | None):
        raise ValueError("has no list as `optimizer_history`")
    odd = next((name for name in loaded.get("model") or {} if not isinstance(name, str)), None)
    if odd is not None:
        raise ValueError(f"has a weight called {str(odd)[:40]}")
