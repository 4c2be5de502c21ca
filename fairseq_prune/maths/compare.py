"""What masks have in common, and what they leave: exact counts."""

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from fairseq_prune.maths.score import Score
from fairseq_prune.maths.stream import Array, Reader

MaskMap = Mapping[str, Tensor]


def removed(mask: Tensor) -> int:
    """How many elements of a bool mask are False."""
    return mask.numel() - _kept(mask)


def overlap(a: MaskMap, b: MaskMap) -> float:
    """The share of what `a` keeps that `b` keeps too; 1 when `a` keeps nothing.

    Raises:
        ValueError: names or shapes differ.
    """
    _check_alike(a, b)
    kept = sum(_kept(mask) for mask in a.values())
    return _common(a, b) / kept if kept else 1.0


def jaccard(a: MaskMap, b: MaskMap) -> float:
    """What both keep over what either keeps; 1 when neither keeps anything.

    Raises:
        ValueError: names or shapes differ.
    """
    _check_alike(a, b)
    common = _common(a, b)
    either = sum(_kept(mask) for masks in (a, b) for mask in masks.values()) - common
    return common / either if either else 1.0


def dead_rows(mask: Tensor) -> int:
    """How many rows of a mask (out, in) keep nothing; of a vector, how many elements."""
    if mask.dim() == 0:
        raise ValueError("a mask with rows must have a dimension or more, but this one has none.")
    return mask.shape[0] - _kept(mask.unsqueeze(-1).flatten(1).any(dim=1))


def extremes(
    values: Tensor, mask: Tensor, fixed: tuple[int, int] | None = None
) -> tuple[float | None, float | None]:
    """The largest |value| removed and the smallest kept; None where nothing is.

    NaN values are left out.

    Args:
        values, mask: of one shape; the mask bool.
        fixed: flat range [a, b) that takes no part.

    Raises:
        ValueError: the shapes differ.
    """
    _check_shapes("values", values, mask)
    largest, smallest = -math.inf, math.inf
    score = Score(values, absolute=True, fixed=fixed)
    kept = mask.detach().cpu().reshape(-1).numpy()
    for piece in Reader(score).pieces():
        here = kept[piece.start : piece.stop]
        gone, left = _ends(piece.keys, here)
        # fmax and fmin pass over NaN.
        largest = float(np.fmax(gone, largest))
        smallest = float(np.fmin(left, smallest))
    return (
        None if largest == -math.inf else largest,
        None if smallest == math.inf else smallest,
    )


def _ends(keys: Array, here: Array) -> tuple[float, float]:
    """The largest key out of `here` and the smallest in it; -inf and inf where there is none.

    Floats that are not negative lie in the order of their bits. With the bits, leaving some out
    is a product, which is 7 times faster here than an index.
    """
    kind = np.int64 if keys.dtype == np.float64 else np.int32
    bits = keys.view(kind)
    out = ~here
    gone = bits * out
    most = gone.max()
    if most > np.array(math.inf, keys.dtype).view(kind):  # NaN has the largest bits
        return np.fmax.reduce(keys[out], initial=-math.inf), np.fmin.reduce(
            keys[here], initial=math.inf
        )
    np.multiply(out, np.iinfo(kind).max, out=gone)
    gone |= bits
    least = gone.min()
    return (
        float(most.view(keys.dtype)) if out.any() else -math.inf,
        float(least.view(keys.dtype)) if here.any() else math.inf,
    )


def _kept(mask: Tensor) -> int:
    return int(torch.count_nonzero(mask))


def _common(a: MaskMap, b: MaskMap) -> int:
    return sum(_kept(mask & b[name].to(mask.device)) for name, mask in a.items())


def _check_alike(a: MaskMap, b: MaskMap) -> None:
    if a.keys() != b.keys():
        odd = min(a.keys() ^ b.keys())
        raise ValueError(f"both must mask the same tensors, but only one has {odd!r}.")
    for name in a:
        _check_shapes(name, a[name], b[name])


def _check_shapes(name: str, one: Tensor, other: Tensor) -> None:
    if one.shape != other.shape:
        raise ValueError(
            f"the shapes for {name!r} must be the same, but are "
            f"{tuple(one.shape)} and {tuple(other.shape)}."
        )
