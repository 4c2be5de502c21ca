"""The folders that ``fairseq-prune vocab`` reads and writes, and what must not be there."""

import os
from pathlib import Path

from fairseq_prune.files.folder import check_folder


def check_data(data: str) -> None:
    """Raise ValueError where ``--data`` is not one folder."""
    shards = data.split(os.pathsep)
    if len(shards) > 1 and all(map(os.path.isdir, shards)):
        raise ValueError(
            f"--data {data} names {len(shards)} folders, and vocab takes one: call it for each "
            "with the same --corpus, so that the same tokens stay."
        )
    if not Path(data).is_dir():
        raise ValueError(
            f"--data {data} is not a folder; give the one that fairseq-preprocess wrote."
        )


def check_data_folder(folder: str, data: str, force: bool) -> None:
    """Raise ValueError where ``--output-data`` cannot or must not be written.

    Args:
        data: the folder that is read, which it must not be.
    """
    target = Path(folder)
    check_folder("--output-data", folder)
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


def check_stale(folder: str, names: set[str]) -> None:
    """Raise ValueError where the folder has data or dictionaries that are not among the new files.

    Their numbers would be those of another dictionary. Alignments have no such numbers.
    """
    target = Path(folder)
    old = [*sorted(target.glob("*.idx")), *sorted(target.glob("dict.*txt"))]
    stale = next((p.name for p in old if p.name not in names and ".align." not in p.name), None)
    if stale:
        raise ValueError(
            f"--output-data {folder} has {stale}, which is not among the new files and would not "
            "fit the new dictionary: remove it, or give another folder."
        )
