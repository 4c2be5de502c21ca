"""A folder that appears whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


def check_folder(output: str, force: bool, known: str) -> None:
    """Raise ValueError where ``output`` cannot or must not be written.

    Args:
        known: a file that each of our folders has: only such a folder is ever replaced.
    """
    target = Path(output)
    if target.exists() and not target.is_dir():
        raise ValueError(f"--output {output} is a file; give the name of a folder.")
    if target.is_dir() and any(target.iterdir()):
        if not (target / known).is_file():
            raise ValueError(f"--output {output} holds something else; give another folder.")
        if not force:
            raise ValueError(f"--output {output} exists; give --force to replace it.")
    folder = Path(os.path.realpath(target)).parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ValueError(f"--output {output} cannot be written: {folder} is no writable folder.")


def write_folder(output: str, fill: Callable[[Path], None]) -> None:
    """Have ``fill`` write into a temporary folder beside ``output``, and rename it into place.

    Raises ValueError, with nothing left behind and an old folder as it was, where the disk is full
    or not writable.
    """
    target = Path(os.path.realpath(output))
    made = _missing_parents(target)
    temporary = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # a folder in a folder: mkdtemp's own is closed to everybody else
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        new = temporary / "new"
        new.mkdir()
        fill(new)
        _replace(new, target, temporary / "old")
    except BaseException as error:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        for folder in made:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        if isinstance(error, OSError):
            raise ValueError(f"--output {output} could not be written: {error}.") from None
        raise
    shutil.rmtree(temporary, ignore_errors=True)


def _missing_parents(target: Path) -> list[Path]:
    """The folders above ``target`` that are not there yet, the innermost first."""
    return [folder for folder in target.parents if not folder.exists()]


def _replace(new: Path, target: Path, aside: Path) -> None:
    if target.exists():
        target.rename(aside)
    try:
        new.rename(target)
    except BaseException:
        if aside.exists():
            aside.rename(target)
        raise
