"""Folders that are written whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def check_export(output: str, force: bool, known: str) -> None:
    """Raise ValueError where ``--output`` cannot or must not be written.

    Args:
        known: a file that each of our folders has: only such a folder is ever replaced.
    """
    target = Path(output)
    check_folder("--output", output)
    if target.is_dir() and any(target.iterdir()):
        if not (target / known).is_file():
            raise ValueError(f"--output {output} holds something else; give another folder.")
        if not force:
            raise ValueError(f"--output {output} exists; give --force to replace it.")


def check_folder(flag: str, folder: str) -> None:
    """Raise ValueError, which names the flag, where a folder cannot be there."""
    target = Path(folder)
    if target.exists() and not target.is_dir():
        raise ValueError(f"{flag} {folder} is a file; give the name of a folder.")
    above = Path(os.path.realpath(target)).parent
    while not above.exists():
        above = above.parent
    for place in (above, target) if target.exists() else (above,):
        if not place.is_dir() or not os.access(place, os.W_OK):
            raise ValueError(f"{flag} {folder} cannot be written: {place} is no writable folder.")


def size_in(folder: str | Path) -> int:
    """Of the files that lie in a folder, in bytes."""
    return sum(path.stat().st_size for path in Path(folder).iterdir() if path.is_file())


@contextmanager
def staged(flag: str, folder: str, *, whole: bool) -> Iterator[Path]:
    """A temporary folder beside ``folder``, whose files are moved there at the end.

    Args:
        flag: names the folder in errors.
        whole: put the new folder in place of the old one; else only replace files of the same name.

    Raises ValueError where the disk is full or not writable; after this and any other error while
    the files are made, nothing is left behind and an old folder is as it was.
    """
    target = Path(os.path.realpath(folder))
    made = [above for above in target.parents if not above.exists()]  # the innermost first
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # a folder in a folder: mkdtemp's own is closed to everybody else
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        new = temporary / "new"
        new.mkdir()
        yield new
        if whole or not target.exists():
            _replace(new, target, temporary / "old")
        else:
            for path in sorted(new.iterdir()):
                os.replace(path, target / path.name)
    except BaseException as error:
        _remove(temporary)
        for above in made:
            if above.is_dir() and not any(above.iterdir()):
                above.rmdir()
        if isinstance(error, OSError):
            raise ValueError(f"{flag} {folder} could not be written: {error}.") from None
        raise
    _remove(temporary)


def _remove(folder: Path | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def _replace(new: Path, target: Path, aside: Path) -> None:
    if target.exists():
        target.rename(aside)
    try:
        new.rename(target)
    except BaseException:
        if aside.exists():
            aside.rename(target)
        raise
