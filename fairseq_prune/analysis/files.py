"""Small files: written whole or not at all, names for them, and the end of a log."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """:func:`write_bytes` of a text."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file to a temporary name beside it, to the disk, and rename it.

    Raises OSError, which names the file, where the disk is full or not writable.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with naming(path):
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Makes an OSError name the file: one that a full disk leads to names none."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def inside(folder: Path, name: str) -> Path | None:
    """The file of that name in a folder or below; None where it is not there, or lies elsewhere.

    The name may be anybody's: neither ``..`` nor a link leads out of the folder.
    """
    try:
        path = (folder / name).resolve()
        return path if path.is_relative_to(folder.resolve()) and path.is_file() else None
    except (OSError, ValueError):  # a loop of links, a name that no file can have
        return None


def file_name(text: str) -> str:
    """``text`` as it may be part of a file's name, which a disk limits to 255 bytes."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-")[:50] or "model"


def listed(names: Sequence[str], most: int) -> str:
    """The first names, ``most`` of them, and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def last_lines(log: Path, count: int = 12) -> list[str]:
    """The last lines of a log that say something; none where it cannot be read."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 20_000))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    return [line.rstrip() for line in text.splitlines() if line.strip()][-count:]
