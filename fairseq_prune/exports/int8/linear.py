"""A linear layer in integers: weights of 7 bits, activations of 8, sums of 32.

Weights are rounded to -63..63 with a scale for each row. Activations are between -1 and 1 and are
rounded to 1..255, 128 for 0. Seven bits keep two products below the 16 bits in which processors
without VNNI add them (255 * 63 * 2 < 2**15), so that results do not depend on the processor. The
scale of activations is fixed: what a sentence becomes does not depend on its batch.

Two kernels of torch do the same: FBGEMM's is faster for few rows, oneDNN's for many. FBGEMM's takes
weights in a dtype that torch is removing (https://github.com/pytorch/pytorch/issues/184982); where
it is gone, or either one is not built in, the other one does all.
"""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor

WEIGHT_MOST = 63  # of a weight
FEW = 16  # rows up to which FBGEMM's kernel is the faster one
ZERO, STEPS = 128, 127  # the code of 0.0, and by how much that of 1.0 is larger
Kernel = Callable[[Tensor], Tensor]


def quantised(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A matrix (out, in) as int8 with the scale of each row, (out,) in float32.

    A row of zeros has the scale 1; zeros stay zeros.
    """
    weight = weight.detach().float()
    largest = weight.abs().amax(dim=1)
    scale = torch.where(largest > 0, largest / WEIGHT_MOST, 1.0)
    return (weight / scale[:, None]).round_().to(torch.int8), scale


def dequantised(weight: Tensor, scale: Tensor) -> Tensor:
    """The matrix in float32 that :func:`quantised` stored, up to its rounding."""
    return weight.float() * scale[:, None]


def codes(x: Tensor) -> Tensor:
    """Numbers of -1 to 1 as bytes."""
    return (x * STEPS).round_().add_(ZERO).to(torch.uint8)


def numbers(coded: Tensor) -> Tensor:
    """The numbers that :func:`codes` gave these bytes for, up to its rounding."""
    return (coded * (1 / STEPS)).sub_(ZERO / STEPS)


class Layer(Protocol):
    """A linear layer of a network in integers."""

    def __call__(self, x: Tensor) -> Tensor:
        """(rows, in), numbers of -1 to 1, to (rows, out) in float32."""

    def of_any_size(self, x: Tensor) -> Tensor:
        """The same for numbers of any size."""

    def of_rows(self, rows: Tensor) -> "Layer":
        """A layer of these rows of the matrix alone."""


class Int8Linear:
    """y = W x + b for a W of int8.

    Args:
        weight: (out, in), int8.
        scale: of each row, (out,).
        bias: (out,), or None.

    Raises ValueError where this torch has no kernel for it.
    """

    def __init__(self, weight: Tensor, scale: Tensor, bias: Tensor | None) -> None:
        self._few, self._many = kernels()
        self._bias, self._parts = bias, (weight, scale, bias)
        self._packed: dict[str, Kernel] = {}

    def __call__(self, x: Tensor) -> Tensor:
        """(rows, in), numbers of -1 to 1, to (rows, out) in float32."""
        name = self._few if x.shape[0] <= FEW else self._many
        if name not in self._packed:  # only now: it holds the weights once more
            self._packed[name] = KERNELS[name](*self._parts)
        return self._packed[name](x)

    def of_rows(self, rows: Tensor) -> "Int8Linear":
        """A layer of these rows of the matrix alone: the same outputs, to the last bit."""
        weight, scale, bias = self._parts
        return Int8Linear(weight[rows], scale[rows], None if bias is None else bias[rows])

    def of_any_size(self, x: Tensor) -> Tensor:
        """The same for numbers of any size: every row has a scale of its own."""
        largest = x.abs().amax(dim=1, keepdim=True).clamp_(min=torch.finfo(x.dtype).tiny)
        found = self(x / largest)
        if self._bias is None:
            return found.mul_(largest)
        return found.sub_(self._bias).mul_(largest).add_(self._bias)


def fbgemm_packed(
    pack: Callable[..., Any], weight: Tensor, scale: Tensor, bias: Tensor | None, *more: int
) -> Any:
    """A matrix as FBGEMM's kernels take it.

    Args:
        pack: torch's operator for that; what it makes depends on a setting of the whole process,
            which is put back after.
        more: what else it is given.
    """
    zeros, before = torch.zeros(len(scale), dtype=torch.long), torch.backends.quantized.engine
    with warnings.catch_warnings():  # that the dtype will go
        warnings.simplefilter("ignore")
        stored = torch._make_per_channel_quantized_tensor(weight, scale.double(), zeros, 0)
    try:
        torch.backends.quantized.engine = "fbgemm"
        return pack(stored, bias, *more)
    finally:
        torch.backends.quantized.engine = before


def _fbgemm(weight: Tensor, scale: Tensor, bias: Tensor | None) -> Kernel:
    operator = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32.default
    packed = fbgemm_packed(torch.ops.quantized.linear_prepack, weight, scale, bias)

    def product(x: Tensor) -> Tensor:
        found: Tensor = operator(x, 1 / STEPS, ZERO, packed)
        return found

    return product


def _onednn(weight: Tensor, scale: Tensor, bias: Tensor | None) -> Kernel:
    operator = torch.ops.onednn.qlinear_pointwise.default
    packed: Any = torch.ops.onednn.qlinear_prepack(weight, None)
    zeros = torch.zeros(len(scale), dtype=torch.int32)

    def product(x: Tensor) -> Tensor:
        found: Tensor = operator(
            codes(x), 1 / STEPS, ZERO, packed, scale, zeros, bias,
            1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        return found

    return product


KERNELS: dict[str, Callable[[Tensor, Tensor, Tensor | None], Kernel]] = {
    "fbgemm": _fbgemm,
    "onednn": _onednn,
}


@cache
def kernels() -> tuple[str, str]:
    """Which of KERNELS are for few and for many rows; one for both where this torch has one.

    Raises ValueError, one sentence, where it has none that computes right.
    """
    found = [name for name, pack in KERNELS.items() if _works(pack)]
    if not found:
        raise ValueError(
            f"torch {torch.__version__} has no 8-bit linear layers for this processor (FBGEMM's or "
            "oneDNN's): take torch 2.6 or newer for x86, or decode the checkpoint itself."
        )
    return found[0], found[-1]


def _works(pack: Callable[[Tensor, Tensor, Tensor | None], Kernel]) -> bool:
    weight, scale = quantised(torch.eye(4))
    try:
        found = pack(weight, scale, torch.ones(4))(torch.eye(4))
    except (AttributeError, RuntimeError, NotImplementedError):
        return False
    return torch.allclose(found, torch.eye(4) + 1, atol=1e-6)
