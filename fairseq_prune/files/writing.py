"""Files that are written whole or not at all, and files that a name leads to."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: str | Path, look: Callable[[str], None] = lambda _: None) -> Iterator[BinaryIO]:
    """A temporary file beside ``path``, which is renamed into place when all is on the disk.

    Args:
        look: called with the name of the whole file before it takes its place; may refuse it.

    Raises OSError, which names the file, where the disk is full or not writable; after this and any
    other error nothing is left behind.
    """
    target, temporary = Path(path), ""
    try:
        with naming(target):
            handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
            os.close(handle)
            with open(temporary, "wb") as file:
                yield file
            # opened again, as a writer that goes by the file's name may have put another there
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
        look(temporary)
        with naming(target):
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, target)
    except BaseException:
        if temporary:
            with contextlib.suppress(FileNotFoundError):
                os.remove(temporary)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file by way of :func:`replacing`."""
    with replacing(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """:func:`write_bytes` of a text."""
    write_bytes(path, text.encode("utf-8"))


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Makes an OSError name the file: one that a full disk leads to names none."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def file_digest(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def inside(folder: Path, name: str) -> Path | None:
    """The file of that name in a folder or below; None where it is not there, or lies elsewhere.

    The name may be anybody's: neither ``..`` nor a link leads out of the folder.
    """
    try:
        path = (folder / name).resolve()
        return path if path.is_relative_to(folder.resolve()) and path.is_file() else None
    except (OSError, ValueError):  # a loop of links, a name that no file can have
        return None
