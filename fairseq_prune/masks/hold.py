"""Keeping pruned weights at zero while an optimizer works on them.

Masking gradients alone is not enough: momentum, weight decay and the fp32 master copy of mixed
precision bring weights back. So weights, masters and moments are zeroed in place after each step,
never rebound (cuDNN's flattened LSTM weights and tied tensors share memory).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fairseq_prune.masks.state import Masks


@dataclass(frozen=True)
class Slot:
    """Where a parameter lives in what the optimizer updates.

    Args:
        parameter: the model's parameter.
        optimised: the tensor in the optimizer: the parameter itself, its fp32 master, or one flat
            master of many parameters.
        start: the parameter's first position in a flat ``optimised``.
    """

    parameter: nn.Parameter
    optimised: Tensor
    start: int = 0

    def view(self, tensor: Tensor) -> Tensor | None:
        """The part of ``tensor`` (``optimised`` or its optimizer state) that is this parameter's.

        None where the tensor is not one number a weight (a step counter, Adafactor's factors).
        """
        if tensor.shape == self.parameter.shape:
            return tensor
        if tensor.numel() == self.optimised.numel() and tensor.dim() == 1:
            end = self.start + self.parameter.numel()
            return tensor[self.start : end].view(self.parameter.shape)
        return None


def flat_slots(parameters: Sequence[nn.Parameter], flat: Tensor) -> list[Slot]:
    """The slots of parameters laid end to end in one flat master."""
    slots, start = [], 0
    for parameter in parameters:
        slots.append(Slot(parameter, flat, start))
        start += parameter.numel()
    return slots


class Holder:
    """Holds the pruned weights of some parameters at zero.

    Resident cost: one bool a weight of those tensors that have any weight pruned.

    Args:
        masks: what is kept.
        parameters: the live parameters by the masks' names.
    """

    def __init__(self, masks: Masks, parameters: Mapping[str, Tensor]) -> None:
        self._parameters = {name: parameters[name] for name in masks}
        self._shapes = {name: tuple(mask.shape) for name, mask in masks.items()}
        self.fixed = dict(masks.fixed)
        self._gone: dict[str, Tensor] = {}
        for name, mask in masks.items():
            if not bool(mask.all()):
                self._gone[name] = ~mask.to(parameters[name].device)
        self.names = tuple(masks)

    def masks(self) -> Masks:
        """The masks again, made new (the holder keeps only their inverse)."""
        return Masks({name: self._kept(name) for name in self.names}, self.fixed)

    def _kept(self, name: str) -> Tensor:
        if name in self._gone:
            return ~self._gone[name]
        device = self._parameters[name].device
        return torch.ones(self._shapes[name], dtype=torch.bool, device=device)

    @torch.no_grad()
    def zero_weights_(self) -> None:
        """Set pruned weights to +0.0, whatever they were (NaN included)."""
        for name, gone in self._gone.items():
            self._parameters[name].masked_fill_(gone, 0.0)

    @torch.no_grad()
    def zero_gradients_(self) -> None:
        """Set pruned weights' gradients to zero, so that --clip-norm sees the sparse gradient."""
        for name, gone in self._gone.items():
            gradient = self._parameters[name].grad
            if gradient is not None:
                gradient.masked_fill_(gone, 0.0)

    @torch.no_grad()
    def zero_masters_(self, slots: Iterable[Slot]) -> None:
        """Set pruned weights to zero in the optimizer's own copies."""
        for gone, slot in self._held(slots):
            part = slot.view(slot.optimised)
            if part is not None and slot.optimised is not slot.parameter:
                part.masked_fill_(gone, 0.0)

    @torch.no_grad()
    def zero_moments_(self, slots: Iterable[Slot], state: Mapping[Any, Any]) -> None:
        """Forget what a torch optimizer's ``state`` remembers of pruned weights."""
        for gone, slot in self._held(slots):
            for value in state.get(slot.optimised, {}).values():
                part = slot.view(value) if isinstance(value, Tensor) else None
                if part is not None:
                    part.masked_fill_(gone, 0.0)

    @torch.no_grad()
    def zero_state_dict_(self, state: Mapping[str, Any], prefix: str = "") -> None:
        """Set pruned weights to zero in a state dict's tensors, in place (averages, EMA)."""
        for name, gone in self._gone.items():
            value = state.get(prefix + name)
            if isinstance(value, Tensor) and value.shape == gone.shape:
                value.masked_fill_(gone.to(value.device), 0.0)

    @torch.no_grad()
    def violations(self) -> dict[str, int]:
        """How many pruned weights are not zero, by name; empty when all is well."""
        counts = {
            name: int(torch.count_nonzero(self._parameters[name].detach()[gone]))
            for name, gone in self._gone.items()
        }
        return {name: count for name, count in counts.items() if count}

    def _held(self, slots: Iterable[Slot]) -> list[tuple[Tensor, Slot]]:
        by_id = {id(self._parameters[name]): gone for name, gone in self._gone.items()}
        return [(by_id[id(s.parameter)], s) for s in slots if id(s.parameter) in by_id]
