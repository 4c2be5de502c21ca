"""Text out of files that may be packed: plain, .gz, .xz, or a member of a .tgz."""

import gzip
import hashlib
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from scripts.corpus.bounds import Bounded

ENDINGS = ("", ".gz", ".xz")
ARCHIVES = (".tgz", ".tar.gz")
_DAMAGED = (gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError, tarfile.TarError)


def names_of(name: str) -> list[str]:
    """How a mirror may call the file ``name``: itself, then packed otherwise."""
    if name.endswith(ARCHIVES):
        return [name]
    plain = name.removesuffix(".gz").removesuffix(".xz")
    return list(dict.fromkeys([name, *(plain + ending for ending in ENDINGS)]))


@contextmanager
def opened(path: Path, suffix: str | None = None) -> Iterator[IO[bytes]]:
    """The bytes of a file without its packing, which ``suffix`` says, or its name.

    Raises ValueError where it is damaged, or unpacks to more than any text.
    """
    suffix = path.suffix if suffix is None else suffix
    try:
        with _open(path, suffix) as file:
            yield _bounded(file, path) if suffix in ENDINGS[1:] else file
    except _DAMAGED as error:
        raise ValueError(f"{path} is damaged: {error}.") from None


def _open(path: Path, suffix: str) -> IO[bytes]:
    if suffix == ".gz":
        return gzip.open(path, "rb")  # type: ignore[return-value]
    if suffix == ".xz":
        return lzma.open(path, "rb")
    return path.open("rb")


@contextmanager
def member(path: Path, name: str) -> Iterator[IO[bytes]]:
    """The bytes of one file of an archive; nothing else of it is looked at, nor written.

    Raises ValueError where there is none of that name, or the archive is damaged, or unpacks to
    more than any text.
    """
    try:
        with (
            gzip.open(path, "rb") as unpacked,
            tarfile.open(fileobj=_bounded(unpacked, path), mode="r:") as archive,
        ):
            for info in archive:
                if info.isfile() and info.name.removeprefix("./") == name:
                    file = archive.extractfile(info)
                    assert file is not None
                    yield file
                    return
    except _DAMAGED as error:
        raise ValueError(f"{path} is damaged: {error}.") from None
    raise ValueError(f"{path} has no file {name}.")


def _bounded(file: Any, path: Path) -> IO[bytes]:
    return cast(IO[bytes], Bounded(file, path.stat().st_size, str(path)))


def sums(path: Path, suffix: str) -> list[str]:
    """The SHA-256 of the file and, where ``suffix`` says it is packed singly, of what is in it.

    What is packed badly has the first only.
    """
    found = []
    with path.open("rb") as file:
        found.append(_sum(file))
    if suffix in ENDINGS[1:]:
        try:
            with opened(path, suffix) as file:
                found.append(_sum(file))
        except ValueError:
            pass
    return found


def _sum(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()
