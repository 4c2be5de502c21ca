"""Whether binarised data are what their index says; the files may be anybody's.

The format is fairseq's (fairseq/data/indexed_dataset.py): NAME.idx has a head, then the length and
the place of each sentence in NAME.bin.
"""

import struct
from pathlib import Path

import numpy as np
from torch import Tensor

_MAGIC, _HEAD = b"MMIDIDX\0\0", struct.Struct("<9sQBQ")
_WIDTHS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 8, 7: 8, 8: 2, 9: 4, 10: 8}  # of a token, by its code


def check_stored(path: Path) -> None:
    """Raise ValueError, naming the file, where NAME.idx and NAME.bin cannot belong together.

    Args:
        path: the files' without .idx and .bin. Other formats than fairseq-preprocess's own (mmap)
            are let be.
    """
    index, tokens = (path.with_name(path.name + end) for end in (".idx", ".bin"))
    try:
        content, size = index.read_bytes(), tokens.stat().st_size
    except OSError as error:
        raise ValueError(f"{error.filename} cannot be read: {error.strerror}.") from None
    if not content.startswith(_MAGIC[:7]):
        return
    wrong = _wrong(content, size)
    if wrong:
        raise ValueError(
            f"{index} cannot be read: {wrong}; binarise the text again with fairseq-preprocess."
        )


def _wrong(content: bytes, size: int) -> str:
    if len(content) < _HEAD.size:
        return "it is truncated"
    magic, version, code, count = _HEAD.unpack_from(content)
    if magic != _MAGIC or version != 1 or code not in _WIDTHS:
        return "its head is damaged"
    if len(content) != _HEAD.size + 12 * count:
        return f"its length is not that of {count:,} sentences"
    lengths = np.frombuffer(content, np.int32, count, _HEAD.size)
    starts = np.frombuffer(content, np.int64, count, _HEAD.size + 4 * count)
    bytes_of = lengths.astype(np.int64) * _WIDTHS[code]
    if count and (min(lengths.min(), starts.min()) < 0 or (starts > size - bytes_of).any()):
        return "it names places outside of the .bin file"
    return ""


def check_tokens(tokens: Tensor, size: int, what: str) -> None:
    """Raise ValueError, naming ``what`` they are of, where tokens are in no dictionary so large."""
    odd = tokens[(tokens < 0) | (tokens >= size)]
    if odd.numel():
        raise ValueError(
            f"{what} has the token number {int(odd[0]):,}, but its dictionary has only {size:,} "
            "tokens: binarise the data again with that dictionary."
        )
