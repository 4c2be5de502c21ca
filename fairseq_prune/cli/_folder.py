"""A folder of files that is written whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def check_folder(folder: str, data: str, force: bool) -> None:
    """Raise ValueError where ``--output-data`` cannot or must not be written.

    Args:
        data: the folder that is read, which it must not be.
    """
    target = Path(folder)
    if target.exists() and not target.is_dir():
        raise ValueError(f"--output-data {folder} is a file; give the name of a folder.")
    if target.resolve() == Path(data).resolve():
        raise ValueError(
            f"--output-data {folder} is --data itself, whose numbers the old checkpoint needs: "
            "give another folder."
        )
    if target.is_dir() and any(target.iterdir()) and not force:
        raise ValueError(
            f"--output-data {folder} has files in it; give --force to replace those of the same "
            "name."
        )
    above = target.absolute()
    while not above.exists():
        above = above.parent
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise ValueError(f"--output-data {folder} cannot be written: {above} is not writable.")


def check_stale(folder: str, names: set[str]) -> None:
    """Raise ValueError where the folder has binarised data that is not among the new files.

    Its numbers would be those of another dictionary. Alignments have no such numbers.
    """
    target = Path(folder)
    old = sorted(path.name for path in target.glob("*.idx")) if target.is_dir() else []
    stale = next((name for name in old if name not in names and ".align." not in name), None)
    if stale:
        raise ValueError(
            f"--output-data {folder} has {stale}, which --data has not, and which would not fit "
            "the new dictionary: remove it, or give another folder."
        )


@contextmanager
def staged(folder: str) -> Iterator[Path]:
    """A temporary folder beside ``folder``; at the end its files are moved there.

    Raises ValueError, with nothing left behind, where the disk is full or not writable.
    """
    target = Path(os.path.abspath(folder))
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        yield temporary
        target.mkdir(exist_ok=True)
        for path in sorted(temporary.iterdir()):
            os.replace(path, target / path.name)
    except OSError as error:
        raise ValueError(f"--output-data {folder} could not be written: {error}.") from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
