"""What a checkpoint file is made of, looked at before torch reads it, so that it cannot grow.

torch writes a zip archive whose records are stored as they are. A compressed record, or records
that lie on each other, are nothing that torch wrote: some kilobytes could take all memory. Nor is
every pickle that torch would load as small as its file.
"""

import os
import struct
import zipfile
from typing import IO, Any

from _fairseq_prune_compat.pickled import Grows, Sizes

# what torch raises of a file that is damaged, or made to look so
DAMAGE = (
    *(RuntimeError, EOFError, LookupError, ValueError, TypeError, AttributeError, AssertionError),
    *(struct.error, OverflowError, MemoryError),
)
_PICKLES = 5  # at the beginning of a file of torch < 1.6
# the ends of an archive: of its directory, where that is said in 64 bits, and where that is said
_END, _END64, _PLACE64 = 22, 56, 20


def check_records(file: Any) -> None:
    """Look at a path or at a binary file, which is left where it was; other things are let be.

    Raises Grows, with the end of a sentence that begins with the file's name, and one of DAMAGE for
    what is no file of torch's.
    """
    if isinstance(file, (str, os.PathLike)):
        if os.path.isfile(file):  # torch says what is wrong with others
            with open(file, "rb") as opened:
                _check(opened)
    elif all(hasattr(file, name) for name in ("read", "seek", "tell")):
        place = file.tell()
        try:
            _check(file)
        finally:
            file.seek(place)


def _check(file: IO[bytes]) -> None:
    start = file.tell()
    is_zip = file.read(2) == b"PK"
    size = file.seek(0, os.SEEK_END)
    try:
        if is_zip:
            _check_end(file, size)
            with zipfile.ZipFile(file) as archive:
                _check_archive(archive, size)
            return
        file.seek(start)
        sizes = Sizes(size, None)
        for _ in range(_PICKLES):
            sizes.add(file)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise ValueError(str(error)) from None


def _check_end(file: IO[bytes], size: int) -> None:
    """Raise ValueError unless the archive ends as torch ends it.

    An archive can have two directories, so that this program sees one and torch another.
    """
    file.seek(max(0, size - _END - _PLACE64 - _END64))
    tail = file.read()
    end, place, end64 = tail[-_END:], tail[-_END - _PLACE64 : -_END], tail[: -_END - _PLACE64]
    if len(tail) < _END or end[:4] != b"PK\5\6" or end[-2:] != b"\0\0":
        raise ValueError("it has no end")
    length, start = struct.unpack("<LL", end[12:20])
    last = size - _END
    if place[:4] == b"PK\6\7":
        last -= _PLACE64 + _END64
        if end64[:4] != b"PK\6\6" or struct.unpack("<Q", place[8:16])[0] != last:
            raise ValueError("it has two ends")
        given = length, start
        length, start = struct.unpack("<QQ", end64[40:56])
        if any(a not in (b, 0xFFFFFFFF) for a, b in zip(given, (length, start), strict=True)):
            raise ValueError("it has two directories")
    if start + length != last:
        raise ValueError("its directory is not where it says")


def _check_archive(archive: zipfile.ZipFile, size: int) -> None:
    entries = archive.infolist()
    packed = next((e for e in entries if e.compress_type != zipfile.ZIP_STORED), None)
    if packed is not None:
        raise Grows(f"has compressed records, which torch does not write ({packed.filename[:80]})")
    claimed = sum(max(entry.file_size, entry.compress_size) for entry in entries)
    if claimed > size:
        raise Grows(f"claims {claimed:,} bytes of records in a file of {size:,}")
    sizes: dict[str, int] = {}
    for entry in entries:
        key = entry.filename.rpartition("/")[2]
        sizes[key] = min(entry.file_size, sizes.get(key, size))
    for entry in entries:
        if entry.filename.lower().endswith("data.pkl"):  # torch looks without regard to case
            with archive.open(entry) as record:
                Sizes(size, sizes).add(record)


def no_bytes(*parts: Any) -> bytes:
    """Returns b"", as Python pickles it; ``bytes`` itself makes as many as a number says."""
    if parts:
        raise Grows("makes bytes out of a number, which can take memory")
    return b""
