"""How one tensor takes part in a ranking, and the float arithmetic of its keys."""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_LARGEST = {
    torch.float32: torch.finfo(torch.float32).max,
    torch.float64: torch.finfo(torch.float64).max,
}


@dataclass(frozen=True, eq=False)
class Score:
    """How one tensor takes part in a ranking, without copying it. Larger is kept.

    The ranking key of an element is float64(value or |value|) / float64(scale).

    Args:
        values: any shape; float16, bfloat16, float32 or float64; any device. An element that is
            -inf is gone, unless `absolute` is set.
        absolute: rank by |values|.
        scale: divides the values; one positive number for the tensor.
        alive: bool, the shape of `values`; an element that is False is gone, whatever its value.
        fixed: flat range [a, b) that takes no part: never counted, and True in the mask.

    Raises:
        ValueError: for a dtype, scale, shape or range outside of the above.
    """

    values: Tensor
    absolute: bool = False
    scale: float = 1.0
    alive: Tensor | None = None
    fixed: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.values.dtype not in FLOATS:
            raise ValueError(
                f"a score must be float16, bfloat16, float32 or float64, not {self.values.dtype}."
            )
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"`scale` must be a finite number above 0, but is {self.scale!r}.")
        if self.alive is not None and (
            self.alive.dtype != torch.bool or self.alive.shape != self.values.shape
        ):
            raise ValueError(
                f"`alive` must be a bool tensor of shape {tuple(self.values.shape)}, "
                f"but is {self.alive.dtype} of shape {tuple(self.alive.shape)}."
            )
        if self.fixed is not None:
            start, stop = self.fixed
            if not 0 <= start <= stop <= self.values.numel():
                raise ValueError(
                    f"`fixed` must be a range inside [0, {self.values.numel()}), "
                    f"but is {self.fixed!r}."
                )

    @property
    def spans(self) -> list[tuple[int, int]]:
        """The flat ranges that take part, in order, none empty."""
        total = self.values.numel()
        start, stop = self.fixed or (total, total)
        return [(a, b) for a, b in ((0, start), (stop, total)) if a < b]

    @property
    def numel_prunable(self) -> int:
        """How many elements take part, gone or not."""
        return sum(b - a for a, b in self.spans)

    @property
    def numel_alive(self) -> int:
        """How many elements take part and are not gone. Reads the tensor once."""
        from fairseq_prune.maths.stream import count_alive

        return count_alive(self)

    @property
    def present(self) -> Tensor:
        """What takes part and is alive by `alive`: bool, the shape of `values`, made new."""
        here = (
            torch.ones(self.values.shape, dtype=torch.bool, device=self.values.device)
            if self.alive is None
            else self.alive.clone()
        ).reshape(-1)
        if self.fixed is not None:
            here[slice(*self.fixed)] = False
        return here.reshape(self.values.shape)

    def with_scale(self, scale: float) -> "Score":
        """The same score with another scale; the tensors are shared."""
        return replace(self, scale=scale)

    @property
    def domain(self) -> torch.dtype:
        """The dtype in which elements are compared: float64 for float64, else float32."""
        return torch.float64 if self.values.dtype == torch.float64 else torch.float32


Scores = Mapping[str, Score]


def first_at(score: Score, key: float, above: bool = False) -> float:
    """The smallest value of the score's domain whose key reaches `key` (exceeds it if `above`).

    -inf is never the answer, since it is gone. NaN when there is no such value: comparing with
    it selects nothing. Keys grow with values, so that a search from a first guess is exact for
    every scale, also where keys overflow, underflow or fall together.
    """
    wide = score.domain == torch.float64
    limit, scale = _LARGEST[score.domain], score.scale

    def reaches(rank: int) -> bool:
        quotient = _value_of(rank, wide) / scale
        return quotient > key if above else quotient >= key

    lowest, highest = _rank_of(-limit, wide), _rank_of(math.inf, wide)
    if not reaches(highest):
        return math.nan
    guess = key * scale
    if abs(guess) > limit:
        guess = math.copysign(limit, guess)
    low = high = _rank_of(guess, wide)
    step = 1
    while high < highest and not reaches(high):
        low, high, step = high, min(high + step, highest), step * 2
    step = 1
    while low > lowest and reaches(low):
        low, high, step = max(low - step, lowest), low, step * 2
    if reaches(low):
        return _value_of(low, wide)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return _value_of(high, wide)


def _rank_of(value: float, wide: bool) -> int:
    """The place of a float among the floats of its width; both zeros are 0."""
    floats, ints, lowest = ("<d", "<q", -(1 << 63)) if wide else ("<f", "<i", -(1 << 31))
    bits: int = struct.unpack(ints, struct.pack(floats, value))[0]
    return bits if bits >= 0 else lowest - bits


def _value_of(rank: int, wide: bool) -> float:
    """The float at a place among the floats of its width: the inverse of `_rank_of`."""
    floats, ints, lowest = ("<d", "<q", -(1 << 63)) if wide else ("<f", "<i", -(1 << 31))
    bits = rank if rank >= 0 else lowest - rank
    value: float = struct.unpack(floats, struct.pack(ints, bits))[0]
    return value
