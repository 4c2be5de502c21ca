"""A linear layer of which many 1 x 4 blocks of weights are zero, in integers and without those.

FBGEMM's kernel for it gives outputs of 8 bits in a range that has to be known before: it is
measured once, on training data (`calibration.py`). FBGEMM's dense kernel for the same integers is
its twin. Both give the same bits, as weights are of 7 bits (with 8, the sparse kernel overflows
where it adds products), so the faster one for so many rows is taken, and the choice changes only
the time.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping
from functools import cache

import torch
from torch import Tensor, nn

from fairseq_prune.exports.int8.linear import (
    STEPS,
    WEIGHT_MOST,
    ZERO,
    Int8Linear,
    Kernel,
    Layer,
    fbgemm_packed,
)
from fairseq_prune.exports.int8.parts import Maker

logger = logging.getLogger("fairseq_prune")

BLOCK = 4  # inputs that are zero or not together, for one output: --prune-structure block:1x4
ENOUGH = 0.75  # of the blocks gone; with fewer, the sparse kernel gains nothing at any size
FEW = 8  # rows up to which the dense kernel is always faster; its outputs are not rounded
_BYTE = 255
_TRIES = 3


class BlockSparseLinear:
    """y = W x + b for a W of int8, where for more than FEW rows each y is one of 256 numbers.

    Args:
        weight: (out, in), int8, -63 to 63.
        scale: of each row, (out,).
        bias: (out,), or None.
        low, high: the range of the outputs, 0 included; what is outside becomes its end.

    Raises ValueError for weights of more than 7 bits and for a range that is none.
    """

    def __init__(
        self, weight: Tensor, scale: Tensor, bias: Tensor | None, low: float, high: float
    ) -> None:
        most = int(weight.to(torch.int16).abs().max())
        if most > WEIGHT_MOST:
            raise ValueError(
                f"weights must be of 7 bits, -{WEIGHT_MOST} to {WEIGHT_MOST}, but one is {most}"
            )
        self._step, self._zero = _steps(low, high)
        self._exact = Int8Linear(weight, scale, bias)
        parts = weight, scale, bias
        self._sparse = fbgemm_packed(torch.ops.sparse.qlinear_prepack, *parts, 1, BLOCK)
        self._dense = fbgemm_packed(torch.ops.quantized.linear_prepack, *parts)
        self._faster: dict[int, Kernel] = {}

    def __call__(self, x: Tensor) -> Tensor:
        """(rows, in), numbers of -1 to 1, to (rows, out) in float32."""
        rows = x.shape[0]
        if rows <= FEW:
            return self._exact(x)
        size = rows.bit_length()  # up to twice as many are taken as alike
        if size not in self._faster:
            self._faster[size] = _fastest((self.sparse, self.dense), x)
        return self._faster[size](x)

    def sparse(self, x: Tensor) -> Tensor:
        """The same by the kernel that leaves out blocks of zeros, for any number of rows."""
        found: Tensor = torch.ops.sparse.qlinear(_stored(x), self._sparse, self._step, self._zero)
        return found.dequantize()

    def dense(self, x: Tensor) -> Tensor:
        """The same, to the last bit, by the kernel that computes all."""
        found: Tensor = torch.ops.quantized.linear(_stored(x), self._dense, self._step, self._zero)
        return found.dequantize()

    def of_rows(self, rows: Tensor) -> Int8Linear:
        """A layer of these rows of the matrix alone, too few for zeros to gain time: outputs are
        not rounded."""
        return self._exact.of_rows(rows)

    def of_any_size(self, x: Tensor) -> Tensor:
        """The same for numbers of any size; outputs have no range and are not rounded."""
        return self._exact.of_any_size(x)


def maker(ranges: Mapping[str, tuple[float, float]]) -> Maker:
    """Makes layers: those with a range as :class:`BlockSparseLinear` where this torch can.

    Where it cannot, the log says so when the first one is made.
    """

    def make(name: str, weight: Tensor, scale: Tensor, bias: Tensor | None) -> Layer:
        if name in ranges and can_leave_out_zeros():
            return BlockSparseLinear(weight, scale, bias, *ranges[name])
        return Int8Linear(weight, scale, bias)

    return make


def removed_blocks(weight: Tensor) -> float:
    """The fraction of a matrix's 1 x 4 blocks, (out, in) cut along its inputs, that are all zero.

    Where the inputs are no multiple of 4, the last block of each row is smaller.
    """
    short = -weight.shape[1] % BLOCK
    gone = nn.functional.pad(weight, (0, short)).view(len(weight), -1, BLOCK).eq(0).all(dim=2)
    return int(gone.sum()) / gone.numel()


@cache
def can_leave_out_zeros() -> bool:
    """Whether this torch has the kernels for this processor; where not, the log says so once."""
    weight, scale = torch.eye(8, dtype=torch.int8) * WEIGHT_MOST, torch.ones(8)
    try:
        layer = BlockSparseLinear(weight, scale, None, 0.0, float(WEIGHT_MOST))
        x = torch.eye(8)
        is_right = torch.equal(layer.sparse(x), x * WEIGHT_MOST)
        is_right = is_right and torch.equal(layer.dense(x), x * WEIGHT_MOST)
    except (AttributeError, RuntimeError, NotImplementedError):
        is_right = False
    if not is_right:
        logger.warning(
            "torch %s has no kernel for blocks of zeros on this processor (FBGEMM's, for x86): all "
            "matrices are computed whole, and zeros gain no time",
            torch.__version__,
        )
    return is_right


def _steps(low: float, high: float) -> tuple[float, int]:
    """The step between outputs, and the byte that stands for 0."""
    low, high = min(low, 0.0), max(high, 0.0)  # in this order nan stays
    if not 0.0 < high - low < math.inf:
        raise ValueError(f"a range of outputs must be wider than 0, but it is {low} to {high}")
    step = (high - low) / _BYTE
    return step, round(-low / step)


def _stored(x: Tensor) -> Tensor:
    return torch.quantize_per_tensor(x, 1 / STEPS, ZERO, torch.quint8)


def _fastest(kernels: tuple[Callable[[Tensor], Tensor], ...], x: Tensor) -> Kernel:
    """The one of them that took least in the best of its tries, which alternate."""
    times = dict.fromkeys(kernels, math.inf)
    for _ in range(_TRIES):
        for kernel in kernels:
            begun = time.perf_counter()
            kernel(x)
            times[kernel] = min(times[kernel], time.perf_counter() - begun)
    return min(times, key=times.__getitem__)
