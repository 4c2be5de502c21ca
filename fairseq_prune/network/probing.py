"""Gradients and curvature of a network's loss over a sample of batches.

Everything is left as it was found: weights, gradients, training mode, random numbers. Gradients
are asked for with ``torch.autograd.grad``, so that neither ``.grad`` nor the hooks of a
distributed wrapper notice. Dropout is off, since the sample is to be the same at each asking.
"""

import math
import random
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

Tensors = dict[str, Tensor]


class Loss(Protocol):
    """The loss of one batch, summed over what it is counted in, and how much that is."""

    def __call__(self, batch: Any, temperature: float = 1.0) -> tuple[Tensor, float]:
        """Loss (a scalar with a graph) and size; logits are divided by ``temperature``."""
        ...


@dataclass(frozen=True)
class Sample:
    """What a network is scored on.

    Args:
        model: the network itself, not its distributed wrapper; in float32.
        batches: the batches of this rank, in a fixed order.
        loss: of one batch, see :class:`Loss`; padding does not count.
        examples: the batches of one example each that a batch is made of.
        unpadded: batches without padding that a batch can be split into; None for ``examples``.
        reduce: sums a tensor over all ranks, in place.
    """

    model: nn.Module
    batches: Sequence[Any]
    loss: Loss
    examples: Callable[[Any], Sequence[Any]] = lambda batch: [batch]
    reduce: Callable[[Tensor], None] = field(default=lambda tensor: None)
    unpadded: Callable[[Any], Sequence[Any]] | None = None


class EmptySample(ValueError):
    """There is nothing to score on."""


class UnknownInput(ValueError):
    """A weight reads what cannot be told."""


def gradient(sample: Sample, names: Iterable[str], temperature: float = 1.0) -> Tensors:
    """dL/dw by name, L being the loss of the whole sample over its size; float64.

    Raises ValueError where the loss is not a number, EmptySample where there is none.
    """
    weights = weights_of(sample, names)
    with undisturbed(sample.model):
        sums = _zeros(weights)
        size = 0.0
        for batch in sample.batches:
            part, here = _gradient_of(sample, batch, weights, temperature)
            size += here
            for name, value in part.items():
                sums[name] += value
        return _divide(sample, sums, size)


def mean_of_squares(sample: Sample, names: Iterable[str], by_example: bool = False) -> Tensors:
    """The mean over batches, or over examples, of the squared gradient; float64.

    The gradient is that of a batch's loss over its size, or of an example's whole loss.
    """

    def squares(part: Tensors) -> Tensors:
        return {name: value.square_() for name, value in part.items()}

    return mean_over(sample, names, squares, by_example)


def mean_over(
    sample: Sample,
    names: Iterable[str],
    measure: Callable[[Tensors], Tensors],
    by_example: bool = False,
) -> Tensors:
    """The mean over batches, or over examples, of what is measured on the gradient; float64.

    Args:
        measure: of the gradients by name, in float64, which are its own; zeros where there is none.
    """
    weights = weights_of(sample, names)
    with undisturbed(sample.model):
        sums = measure(_zeros(weights))
        for value in sums.values():
            value.zero_()
        count = 0.0
        for batch in sample.batches:
            for one in sample.examples(batch) if by_example else [batch]:
                part, size = _gradient_of(sample, one, weights)
                scale = 1.0 if by_example else 1.0 / size
                count += 1
                whole = _zeros({name: w for name, w in weights.items() if name not in part})
                whole |= {name: value.double() * scale for name, value in part.items()}
                for name, value in measure(whole).items():
                    sums[name] += value
        return _divide(sample, sums, count)


def mean_loss(sample: Sample) -> float:
    """The loss of the whole sample over its size.

    Raises ValueError where it is not a number, EmptySample where there is none.
    """
    device = next(sample.model.parameters()).device
    total = {"loss": torch.zeros(1, dtype=torch.float64, device=device)}
    size = 0.0
    with undisturbed(sample.model), torch.no_grad():
        for batch in sample.batches:
            loss, here = loss_of(sample, batch)
            total["loss"] += loss.detach().double()
            size += here
        return float(_divide(sample, total, size)["loss"])


def hessian_times(
    sample: Sample, vector: Mapping[str, Tensor], temperature: float = 1.0
) -> Tensors:
    """H v by name, H being the Hessian of the loss of the whole sample over its size; float64.

    Args:
        vector: v, a tensor of the weight's shape by name.
    """
    weights = weights_of(sample, vector)
    with undisturbed(sample.model), plain_kernels():
        sums = _zeros(weights)
        size = 0.0
        for batch in sample.batches:
            loss, here = loss_of(sample, batch, temperature)
            size += here
            first = _grad(loss, weights, create_graph=True)
            dot = sum(
                (value * vector[name].to(value)).sum()
                for name, value in first.items()
                if value.requires_grad
            )
            if isinstance(dot, Tensor):
                for name, value in _grad(dot, weights).items():
                    sums[name] += value
        return _divide(sample, sums, size)


def unused(sample: Sample, names: Iterable[str]) -> list[str]:
    """Those of these weights that no batch's loss depends on, whatever their values are.

    All ranks have to ask for the same names.
    """
    weights = weights_of(sample, names)
    left = dict(weights)
    with undisturbed(sample.model):
        for batch in sample.batches:
            if left:
                found, _ = _gradient_of(sample, batch, left)
                left = {name: weight for name, weight in left.items() if name not in found}
        device = next(iter(weights.values())).device
        seen = torch.tensor([name not in left for name in weights], device=device).double()
        sample.reduce(seen)
    return [name for name, count in zip(weights, seen, strict=True) if not float(count)]


def weights_of(sample: Sample, names: Iterable[str]) -> Tensors:
    """The parameters of these names."""
    named = dict(sample.model.named_parameters(remove_duplicate=False))
    return {name: named[name] for name in names}


def _gradient_of(
    sample: Sample, batch: Any, weights: Mapping[str, Tensor], temperature: float = 1.0
) -> tuple[Tensors, float]:
    loss, size = loss_of(sample, batch, temperature)
    return _grad(loss, weights), size


def loss_of(sample: Sample, batch: Any, temperature: float = 1.0) -> tuple[Tensor, float]:
    """Loss and size of a batch; raises ValueError where the loss is not a number."""
    loss, size = sample.loss(batch, temperature)
    if not math.isfinite(float(loss.detach())):
        raise ValueError(
            f"the loss of a batch is {float(loss.detach())} while weights are being scored; the "
            "model has diverged, or the batch is broken: score a sound checkpoint."
        )
    return loss, float(size)


def _grad(value: Tensor, weights: Mapping[str, Tensor], create_graph: bool = False) -> Tensors:
    weights = {name: weight for name, weight in weights.items() if weight.requires_grad}
    if not value.requires_grad or not weights:
        return {}
    found = torch.autograd.grad(
        value, list(weights.values()), create_graph=create_graph, allow_unused=True
    )
    return {name: g for name, g in zip(weights, found, strict=True) if g is not None}


def _zeros(weights: Mapping[str, Tensor]) -> Tensors:
    # float64: the sum does not depend on how many ranks share the batches, to float32's digits
    return {
        n: torch.zeros(w.shape, dtype=torch.float64, device=w.device) for n, w in weights.items()
    }


def check_size(sample: Sample, size: float, sums: Tensors) -> Tensor:
    """The sample's size over all ranks; raises ValueError where it is empty.

    Args:
        size: that of this rank's share.
        sums: tensors on the device that ranks share sums on.
    """
    total = torch.tensor([size], dtype=torch.float64, device=next(iter(sums.values())).device)
    sample.reduce(total)
    if not float(total) > 0:
        raise EmptySample(
            "the sample to score on is empty: it has no target tokens; check the data, or ask for "
            "more with --prune-score-batches."
        )
    return total


def _divide(sample: Sample, sums: Tensors, size: float) -> Tensors:
    total = check_size(sample, size, sums)
    for value in sums.values():
        sample.reduce(value)
        value /= total
    return sums


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Dropout off; training mode and all random generators come back as they were."""
    modes = [(module, module.training) for module in model.modules()]
    # fairseq's fused encoder path (in evaluation mode) reads copies that take no gradient
    fused = [m for m in model.modules() if getattr(m, "can_use_fastpath", False)]
    python, numpy_state = random.getstate(), np.random.get_state()
    try:
        with (
            torch.random.fork_rng(),
            torch.enable_grad(),
            _NO_CUDNN,
        ):
            model.eval()
            for module in fused:
                module.can_use_fastpath = False  # type: ignore[assignment]
            yield
    finally:
        for module in fused:
            module.can_use_fastpath = True  # type: ignore[assignment]
        for module, mode in modes:
            module.training = mode
        random.setstate(python)
        np.random.set_state(numpy_state)


@contextmanager
def _without_fast_kernels() -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        with warnings.catch_warnings():  # it speaks of Intel GPUs
            warnings.simplefilter("ignore")
            stack.enter_context(torch.backends.mkldnn.flags(enabled=False))
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        yield


class _Shared:
    """A context of the whole process in which several may be at once, threads too, and which ends
    when the last one leaves: each would put back what it found, and leave what another had set."""

    def __init__(self, make: Callable[[], AbstractContextManager[None]]) -> None:
        self._make, self._open = make, ExitStack()
        self._inside, self._lock = 0, Lock()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._open.enter_context(self._make())
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._open.close()


_PLAIN = _Shared(_without_fast_kernels)
_NO_CUDNN = _Shared(lambda: torch.backends.cudnn.flags(enabled=False))


def plain_kernels() -> AbstractContextManager[None]:
    """No cuDNN, no oneDNN, no fused attention: these have no second derivative, nor can be seen
    into."""
    return _PLAIN
