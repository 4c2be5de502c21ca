"""A training, or a command of ours, that breaks down at a named point; in a process of its own.

A breakdown is "" for none, or KIND:NUMBER:

write:3     killed when half of the third file is written (checkpoints and copies of them, in order)
rename:3    killed before the third file gets its final name
limit:5000  no file can have more than 5000 bytes, as on a disk that is full
clock:3600  the clock is an hour ahead or an hour behind, in turns
"""

import builtins
import contextlib
import itertools
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any


def arm(breakdown: str) -> None:
    """Make this process break down where ``breakdown`` says."""
    kind, _, number = breakdown.partition(":")
    if kind == "limit":
        # Python ignores the signal that goes with it, so that a write fails
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(number), int(number)))
    elif kind == "clock":
        _jump(int(number))
    elif kind == "write":
        _die_writing(int(number))
    elif kind == "rename":
        _die_renaming(int(number))
    else:
        assert kind == "", breakdown


def train(flags: list[str], breakdown: str) -> int:
    """fairseq-train with our user dir."""
    from tests.forked import train_here

    arm(breakdown)
    train_here(flags)
    return 0


def command(words: list[str], breakdown: str) -> int:
    """A command of fairseq-prune."""
    from fairseq_prune.cli.main import main

    arm(breakdown)
    return main(words)


@contextlib.contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Here no file can have more than ``size`` bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class _Dying:
    """A file that kills its process when it is closed, with half of what it was given."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        # shutil copies by the number of the file where it can, which would go past us
        if name == "fileno":
            raise AttributeError(name)
        return getattr(self._file, name)

    def __enter__(self) -> "_Dying":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        self._file.flush()
        os.truncate(self._file.name, os.path.getsize(self._file.name) // 2)
        _die()

    def write(self, data: Any) -> int:
        written: int = self._file.write(data)
        if self._file.tell() > 20_000:
            self.close()
        return written


def _die_writing(number: int) -> None:
    original, opened = builtins.open, 0

    def open(name: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        nonlocal opened
        file = original(name, mode, *args, **options)
        if "w" in mode and "b" in mode:
            opened += 1
            if opened == number:
                return _Dying(file)
        return file

    builtins.open = open  # type: ignore[assignment]


def _jump(seconds: int) -> None:
    original, sign = time.time, itertools.cycle((1, -1))
    time.time = lambda: original() + next(sign) * seconds


def _die_renaming(number: int) -> None:
    renamed = 0
    for name in ("rename", "replace"):
        original = getattr(os, name)

        def call(*args: Any, _original: Any = original, **options: Any) -> None:
            nonlocal renamed
            renamed += 1
            if renamed == number:
                _die()
            _original(*args, **options)

        setattr(os, name, call)


if __name__ == "__main__":
    train(sys.argv[2:], sys.argv[1])
