"""The largest magnitude that a mask removes, and the smallest that it keeps."""

import math

import numpy as np
from torch import Tensor

from fairseq_prune.maths.score import Score
from fairseq_prune.maths.stream import Array, Reader


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
    if values.shape != mask.shape:
        raise ValueError(
            f"the shapes for 'values' must be the same, but are "
            f"{tuple(values.shape)} and {tuple(mask.shape)}."
        )
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
