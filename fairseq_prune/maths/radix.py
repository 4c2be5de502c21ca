"""The exact cut of a ranking by counting digits of its keys: slow, but sure for any input."""

import math

import numpy as np

from fairseq_prune.maths.score import Scores, first_at
from fairseq_prune.maths.stream import Array, Reader, divide

_DIGIT = 16
_SIGN = np.uint64(1 << 63)


def radix_cut(scores: Scores, keep: int) -> float:
    """The `keep`-th largest key over all tensors; -inf when fewer are alive.

    Four passes, each of which counts the next 16 bits of the keys that share the bits found so
    far. Needs 2^16 counters and a chunk, whatever the sizes and ties.

    Args:
        keep: at least 1.
    """
    prefix, need = 0, keep
    for shift in range(64 - _DIGIT, -1, -_DIGIT):
        counts = np.zeros(1 << _DIGIT, np.int64)
        for name, score in scores.items():
            _count(Reader(score, name), prefix, shift, counts)
        # above[d] = how many of the keys with this prefix have a digit of d or more.
        above = counts[::-1].cumsum()[::-1]
        if above[0] < need:
            return -math.inf
        digit = int(np.flatnonzero(above >= need)[-1])
        need -= int(above[digit] - counts[digit])
        prefix = prefix << _DIGIT | digit
    return _key_of(prefix)


def _count(reader: Reader, prefix: int, shift: int, counts: Array) -> None:
    lowest = first_at(reader.score, -math.inf)
    digits = np.uint64(_DIGIT)
    for piece in reader.pieces():
        alive = piece.at_least(lowest, reader.flags[0][: len(piece.keys)])
        keys = piece.keys[alive].astype(np.float64)
        divide(keys, reader.score.scale)
        ordered = _ordered(keys) >> np.uint64(shift)
        if shift < 64 - _DIGIT:
            ordered = ordered[ordered >> digits == np.uint64(prefix)]
        digit = (ordered & np.uint64((1 << _DIGIT) - 1)).astype(np.int64)
        counts += np.bincount(digit, minlength=len(counts))


def _ordered(keys: Array) -> Array:
    """Unsigned integers in the order of the keys: (n,) float64 to (n,) uint64."""
    # Adding zero turns -0.0 into 0.0, which ranks with it.
    bits = (keys + 0.0).view(np.uint64)
    return np.where(bits >> np.uint64(63) == 1, ~bits, bits | _SIGN)


def _key_of(ordered: int) -> float:
    """The key with this place in the order: the inverse of `_ordered`."""
    bits = np.array([ordered], np.uint64)
    bits = np.where(bits & _SIGN, bits ^ _SIGN, ~bits)
    return float(bits.view(np.float64)[0])
