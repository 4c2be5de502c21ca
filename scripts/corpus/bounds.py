"""Bounds on what comes out of files that anybody may have packed."""

from collections.abc import Iterator
from typing import IO, Any

# bytes that may come out for each one that is read, and for small files: text packs to a tenth,
# and zeros to a thousandth
MAX_RATIO, FREE = 100, 1 << 26
LONGEST = 1 << 20  # bytes of a line, which is a sentence
WHOLE = 1 << 25  # bytes of a file that is read as a whole, as those with tags are
_BLOCK = 1 << 20


class Bounded:
    """A file that gives no more bytes than are plausible; it can go forwards only.

    Args:
        file: of bytes without their packing.
        packed: size of the packed file.
        name: for messages.
    """

    def __init__(self, file: Any, packed: int, name: str) -> None:
        self._file, self._name = file, name
        self._left = max(FREE, MAX_RATIO * packed)
        self._place = 0

    def read(self, size: int = -1) -> bytes:
        """The next bytes; raises ValueError where there are too many at once, or in all."""
        if size < 0 or size > FREE:
            raise ValueError(f"{self._name} asks for {size:,} bytes at once: it is damaged.")
        return self._counted(self._file.read(size))

    def readline(self, size: int = -1) -> bytes:
        """The next line, or its beginning."""
        return self._counted(self._file.readline(size if 0 <= size <= FREE else FREE))

    def tell(self) -> int:
        """How many bytes were given."""
        return self._place

    def seek(self, place: int, whence: int = 0) -> int:
        """Go forwards to a place, as tarfile does to pass what is not wanted."""
        if whence or place < self._place:
            raise ValueError(f"{self._name} is damaged: it points backwards.")
        while self._place < place and self.read(min(place - self._place, _BLOCK)):
            pass
        return self._place

    def _counted(self, data: bytes) -> bytes:
        self._place += len(data)
        self._left -= len(data)
        if self._left < 0:
            raise ValueError(
                f"{self._name} unpacks to more than {MAX_RATIO} times its size, which no text "
                "does: it is damaged, or made to fill a disk; unpack it yourself if it is meant."
            )
        return data


def lines(file: IO[bytes], name: str) -> Iterator[bytes]:
    """The lines of a file; raises ValueError for one that no sentence has the length of."""
    number = 0
    while line := file.readline(LONGEST + 1):
        number += 1
        if len(line) > LONGEST:
            raise ValueError(
                f"{name}, line {number} is longer than {LONGEST:,} bytes: no sentence."
            )
        yield line
