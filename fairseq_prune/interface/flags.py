"""Flags of the commands as keyword arguments."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fairseq_prune.pruning.recipe import Recipe


def names_of(files: str | Path | Sequence[str | Path] | None) -> list[str] | None:
    """The names of one file or of several; None for None."""
    if files is None:
        return None
    return [str(files)] if isinstance(files, str | Path) else [str(file) for file in files]


def name_of(file: str | Path | None) -> str | None:
    """The name of a file; None for None."""
    return None if file is None else str(file)


def check_names(given: Mapping[str, Any], known: Iterable[str], what: str) -> None:
    """Raise ValueError where a keyword argument has no such name.

    Args:
        what: what they all are, as a message calls one.
    """
    known = sorted(known)
    odd = sorted(set(given) - set(known))
    if odd:
        raise ValueError(f"{', '.join(odd)} is no {what}; they are {', '.join(known)}.")


def recipe_of(flags: Mapping[str, Any]) -> Recipe:
    """The recipe that prune flags by name say; raises ValueError where one has another name."""
    check_names(flags, Recipe.__dataclass_fields__, "prune flag")
    return Recipe(**flags)
