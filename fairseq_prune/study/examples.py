"""The studies that come with the package, with what they read: configurations and scripts."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import fairseq_prune
from fairseq_prune.study.document import read_yaml

_PACKAGE = Path(fairseq_prune.__file__).parent
# where an installed package has them (setup.py), and where a checkout has them
_PLACES = (_PACKAGE / "examples", _PACKAGE.parent)
_PARTS = ("configs", "scripts")


def examples() -> Iterator[tuple[str, str]]:
    """Name and title of each; raises ValueError where none came with the package."""
    for path in sorted((_place() / "configs" / "study").glob("*.yaml")):
        yield path.stem, read_yaml(path).entries["title"].text


def copy_examples(folder: Path) -> Path:
    """Copy all of them; returns the folder of the studies in the copy.

    Raises ValueError where the folder has something in it.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ValueError(f"{folder} is there and not empty; give the name of a new folder.")
    place = _place()
    for part in _PARTS:
        shutil.copytree(
            place / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
        )
    return folder / "configs" / "study"


def _place() -> Path:
    for place in _PLACES:
        if (place / "configs" / "study").is_dir():
            return place
    raise ValueError("the examples did not come with this installation of fairseq_prune.")
