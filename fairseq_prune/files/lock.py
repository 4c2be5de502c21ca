"""Who works in a folder: a lock that is gone with its holder, whatever ended it."""

import contextlib
import fcntl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def held(path: Path, patience: float = 0.0) -> Iterator[int | None]:
    """Hold a folder, made where it is not there; gives the descriptor that holds it, which a
    child can inherit, or None where another process does.

    Args:
        patience: seconds to wait for another process; one that only looks is soon gone.

    Raises ValueError where the disk has no locks.
    """
    path.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + patience
    with (path / ".lock").open("a") as file:
        while not _lock(file):
            if time.monotonic() > end:
                yield None
                return
            time.sleep(0.1)
        yield file.fileno()


@contextlib.contextmanager
def awaited(path: Path, waiting: Callable[[], None]) -> Iterator[int]:
    """Hold a folder as soon as no other process does; ``waiting`` is called once if one does.

    Raises ValueError where the disk has no locks.
    """
    told = False
    while True:
        with held(path, patience=1.0) as descriptor:
            if descriptor is not None:
                yield descriptor
                return
        if not told:
            waiting()
            told = True


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise ValueError(
            f"{file.name} cannot be locked ({error.strerror}): give a folder on a disk that has "
            "file locks."
        ) from None
    return True
