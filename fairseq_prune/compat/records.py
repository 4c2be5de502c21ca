"""What a checkpoint file is made of, looked at before torch reads it, so that it cannot grow.

torch writes a zip archive whose records are stored as they are. A compressed record, or records
that lie on each other, are nothing that torch wrote: some kilobytes could take all memory. Nor is
every name that torch allows in a pickle needed here, and some take as much memory as a number says.
"""

import os
import pickletools
import struct
import zipfile
from typing import IO, Any

# of the names that torch allows, those that make an object of any size out of a number
_GROWING = ("builtins.bytearray", "__builtin__.bytearray", "torch.storage.", "torch.Tensor")
# what torch raises of a file that is damaged, or made to look so
DAMAGE = (
    *(RuntimeError, EOFError, LookupError, ValueError, TypeError, AttributeError, AssertionError),
    *(struct.error, OverflowError, MemoryError),
)
_PICKLES = 4  # at the beginning of a file of torch < 1.6


class Grows(ValueError):
    """A file that would take more memory than its own size says; it was not read."""


def check_records(file: Any) -> None:
    """Look at a path or at a binary file, which is left where it was; other things are let be.

    Raises Grows, with the end of a sentence that begins with the file's name.
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
    file.seek(start)
    if not is_zip:
        _check_names(file, _PICKLES)
        return
    try:
        with zipfile.ZipFile(file) as archive:
            _check_archive(archive, file)
    except Grows:
        raise
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, ValueError):
        return  # torch says what is wrong with it


def _check_archive(archive: zipfile.ZipFile, file: IO[bytes]) -> None:
    entries = archive.infolist()
    packed = next((e for e in entries if e.compress_type != zipfile.ZIP_STORED), None)
    if packed is not None:
        raise Grows(f"has compressed records, which torch does not write ({packed.filename[:80]})")
    size = file.seek(0, os.SEEK_END)
    claimed = sum(max(entry.file_size, entry.compress_size) for entry in entries)
    if claimed > size:
        raise Grows(f"claims {claimed:,} bytes of records in a file of {size:,}")
    for entry in entries:
        if entry.filename.endswith("data.pkl"):
            with archive.open(entry) as record:
                _check_names(record, 1)


def _check_names(file: IO[bytes], count: int) -> None:
    """Refuse names that no checkpoint of fairseq has and that grow; damage is for torch to say."""
    try:
        for _ in range(count):
            for opcode, name, _ in pickletools.genops(file):
                if opcode.name == "GLOBAL":
                    _check_name(str(name).replace(" ", ".", 1))
    except Grows:
        raise
    except Exception:  # pickletools raises whatever a damaged pickle leads to
        return


def no_bytes(*parts: Any) -> bytes:
    """Returns b"", as Python pickles it; ``bytes`` itself makes as many as a number says."""
    if parts:
        raise Grows("makes bytes out of a number, which can take memory")
    return b""


def _check_name(name: str) -> None:
    kind = name.rpartition(".")[2]
    is_tensor = name.startswith("torch.") and kind.endswith("Tensor")
    if name.startswith(_GROWING) or is_tensor:
        raise Grows(f"holds {name}, which no checkpoint of fairseq needs and which can take memory")
