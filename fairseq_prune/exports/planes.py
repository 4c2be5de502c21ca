"""One tensor as compressed bytes: a bitmask of what is not zero, and the other values by byte.

The values are split in planes: all first bytes, all second bytes, and so on. The upper ones hold
the exponents, which compress, the lower ones the end of the mantissa, which does not. What
magnitude pruning leaves begins at a threshold, so the bits of the smallest magnitude (``base``)
are subtracted from each value first: as integers, floats are in the order of their magnitudes,
and the upper planes then hold few different bytes.

Zero means that all bits are zero, so that -0.0 and each NaN come back as they were. Bytes are in
the order of x86 and ARM, lowest first. Every plane is a zstd frame with a checksum.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fairseq_prune.files.needs import need

DTYPES = {
    "bfloat16": torch.bfloat16,
    "bool": torch.bool,
    "float16": torch.float16,
    "float32": torch.float32,
    "float64": torch.float64,
    "int16": torch.int16,
    "int32": torch.int32,
    "int64": torch.int64,
    "int8": torch.int8,
    "uint8": torch.uint8,
}
CHUNK = 1 << 16  # weights at a time, so that what is computed stays in the cache; 8 divides it
_BITS = {
    1: (torch.int8, np.int8),
    2: (torch.int16, np.int16),
    4: (torch.int32, np.int32),
    8: (torch.int64, np.int64),
}
# Most of what is stored are random bytes with unequal frequencies: short repetitions are chance
# and cost more than they save, so few are looked for, and the frequencies do the work.
_ZSTD = {"min_match": 7, "hash_log": 6, "write_checksum": True}  # over those of level 1


@dataclass(frozen=True)
class Planes:
    """A tensor's bytes.

    Args:
        kept: how many values are not zero and stored; None where all are stored, without a mask.
        base: what was subtracted from the bits of each stored value.
        parts: zstd frames: the mask where there is one, eight weights a byte, first weight in the
            highest bit; then a plane for each byte of the dtype, lowest first.
    """

    kept: int | None
    base: int
    parts: tuple[bytes, ...]

    @property
    def size(self) -> int:
        """How many bytes that is."""
        return sum(map(len, self.parts))


def encode(tensor: Tensor) -> Planes:
    """The bytes of a tensor: with a mask or without, whichever is smaller."""
    bits, kind = _BITS[tensor.element_size()]
    flat = np.empty(0, dtype=kind)  # torch refuses some views of what is empty
    if tensor.numel():
        flat = tensor.detach().contiguous().reshape(-1).view(bits).numpy()
    has_exponents = tensor.is_floating_point()
    whole = _encode(flat, False, has_exponents)
    if np.count_nonzero(flat) == flat.size:
        return whole
    masked = _encode(flat, True, has_exponents)
    return masked if masked.size < whole.size else whole


def _encode(flat: np.ndarray, masked: bool, has_exponents: bool) -> Planes:
    counts, smallest = [0], []
    for values in _stored(flat, masked):
        counts.append(values.size)
        if values.size and has_exponents:
            smallest.append(int((values & np.iinfo(flat.dtype).max).min()))
    base, kept = min(smallest, default=0), sum(counts)
    mask = [_Compressed((flat.size + 7) // 8)] if masked else []
    planes = [_Compressed(kept) for _ in range(flat.itemsize)]
    for start in range(0, flat.size, CHUNK) if masked else ():
        mask[0].add(np.packbits(flat[start : start + CHUNK] != 0))
    for values in _stored(flat, masked):
        split = (values - values.dtype.type(base)).view(np.uint8).reshape(-1, flat.itemsize)
        for j, plane in enumerate(planes):
            plane.add(np.ascontiguousarray(split[:, j]))
    return Planes(kept if masked else None, base, tuple(p.end() for p in (*mask, *planes)))


def _stored(flat: np.ndarray, masked: bool) -> Iterator[np.ndarray]:
    for start in range(0, flat.size, CHUNK):
        chunk = flat[start : start + CHUNK]
        yield chunk[np.flatnonzero(chunk)] if masked else chunk


class _Compressed:
    """A zstd frame being written, of ``size`` bytes in all."""

    def __init__(self, size: int) -> None:
        zstandard = need("zstandard", "A compact file")
        parameters = zstandard.ZstdCompressionParameters.from_level(1, **_ZSTD)
        compressor = zstandard.ZstdCompressor(compression_params=parameters)
        self._frame, self._written = compressor.compressobj(size=size), bytearray()

    def add(self, data: np.ndarray) -> None:
        self._written += self._frame.compress(data)

    def end(self) -> bytes:
        return bytes(self._written + self._frame.flush())


def decode(
    parts: Sequence[Any], dtype: torch.dtype, size: int, kept: int | None, base: int
) -> Tensor:
    """The flat tensor of ``size`` values that :func:`encode` was given.

    Args:
        parts: as in :class:`Planes`, maybe from an untrusted file. A frame that says another size
            than the other arguments is refused before it is given memory.

    Raises ValueError where the parts are no zstd frames of the right length and checksum.
    """
    kind = _BITS[dtype.itemsize][1]
    # numpy asks Linux for large pages where torch does not, which halves the time of a first write
    flat = torch.from_numpy(np.zeros(size, dtype=kind))
    stored = size if kept is None else kept
    planes = [_decompressed(part, stored) for part in parts[-dtype.itemsize :]]
    mask = None if kept is None else _decompressed(parts[0], (size + 7) // 8)
    split = np.empty((CHUNK, dtype.itemsize), dtype=np.uint8)
    found = 0
    for start in range(0, size, CHUNK):
        chunk = flat[start : start + CHUNK]
        where = None if mask is None else _places(mask[start // 8 :], len(chunk))
        count = len(chunk) if where is None else where.size
        if found + count > stored:
            raise ValueError(f"a mask keeps more values than {stored}")
        for j, plane in enumerate(planes):
            split[:count, j] = plane[found : found + count]
        values = split[:count].view(kind).reshape(-1)
        values += kind(base)
        if where is None:
            chunk.copy_(torch.from_numpy(values))
        else:  # faster than numpy's
            chunk.scatter_(0, torch.from_numpy(where), torch.from_numpy(values))
        found += count
    if found != stored:
        raise ValueError(f"a mask keeps {found} values and not {stored}")
    if dtype == torch.bool and bool((flat & ~1).any()):
        raise ValueError("a bool is neither 0 nor 1")
    return flat.view(dtype)


def _places(mask: np.ndarray, count: int) -> np.ndarray:
    """Which of the next ``count`` weights the packed mask keeps."""
    return np.flatnonzero(np.unpackbits(mask[: (count + 7) // 8], count=count).view(np.bool_))


def _decompressed(frame: Any, size: int) -> np.ndarray:
    zstandard = need("zstandard", "A compact file")
    try:
        # the decompressor trusts this number, whatever limit it is given
        claimed = zstandard.frame_content_size(frame)
        if claimed != size:
            raise ValueError(f"a part has {claimed} bytes and not {size}")
        data = zstandard.ZstdDecompressor().decompress(frame, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise ValueError(f"a part is no sound zstd frame ({error})") from None
    return np.frombuffer(data, dtype=np.uint8)
