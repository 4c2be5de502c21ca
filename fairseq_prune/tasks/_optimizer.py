"""Where fairseq's optimizers keep their own copies of the model's parameters."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from fairseq_prune.masks.hold import Slot, flat_slots


def slots_of(optimizer: Any) -> list[Slot]:
    """A slot for each parameter that a FairseqOptimizer updates.

    Covers plain optimizers, memory-efficient fp16, amp, and the fp32 masters of --fp16 in both
    layouts: one flat tensor a device, or a list (--fp16-no-flatten-grads, --bf16).
    """
    masters = getattr(optimizer, "fp32_params", None)
    if masters is None:
        return [Slot(p, p) for p in optimizer.params]
    parameters = list(optimizer.fp16_params)
    if isinstance(masters, Mapping):
        if len(masters) == 1:
            return flat_slots(parameters, next(iter(masters.values())))
        return [
            slot
            for device, flat in masters.items()
            for slot in flat_slots([p for p in parameters if p.device.index == device], flat)
        ]
    if isinstance(masters, Tensor):
        return flat_slots(parameters, masters)
    return [Slot(p, master) for p, master in zip(parameters, masters, strict=True)]


def state_of(optimizer: Any) -> Mapping[Any, Any]:
    """The torch optimizer's state: by optimised tensor, its moments."""
    return getattr(optimizer.optimizer, "state", {})
