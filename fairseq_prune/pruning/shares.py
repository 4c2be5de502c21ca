"""Per-class sparsities as text: one ``CLASS SPARSITY`` a line in a file, or all in one line.

The file is for people, and may say which classes are meant; what is stored and compared is the one
line, so that nothing depends on the file once it is read.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from fairseq_prune.maths.schemes import REST

Shares = Mapping[str, float]  # fraction to remove by weight class; REST for all others

CLASSES = "# --prune-classes "  # begins the line that says whose names these are
_NUMBER = r"[-+.\deE]+"
_ONE_LINE = re.compile(rf"\S+ {_NUMBER}(; \S+ {_NUMBER})*")


def read_shares(text: str) -> dict[str, float]:
    """The shares in a file, or in the one line that :func:`one_line` makes.

    Raises ValueError, one sentence, where it is neither, or a line of it makes no sense.
    """
    if os.path.isfile(text):
        return _read_file(text)
    if not _ONE_LINE.fullmatch(text):
        raise ValueError(
            f"--prune-given {text} is not a file; give one with a line `CLASS SPARSITY` for each "
            "weight class, such as fairseq-prune sensitivity --proposal writes."
        )
    return _parse("--prune-given", enumerate(text.split("; "), 1))


def classes_of(text: str) -> str | None:
    """The ``--prune-classes`` whose names a file of shares has, where a line of it says so.

    The line, ``# --prune-classes CLASSES``, is a comment for versions that do not know it.
    """
    if not os.path.isfile(text):
        return None
    read_shares(text)  # it is a text file
    for line in Path(text).read_text(encoding="utf-8").splitlines():
        if line.startswith(CLASSES):
            return line[len(CLASSES) :].strip() or None
    return None


def classes_for(given: str | None, classes: str | None) -> str | None:
    """The classes to prune by: those that ``--prune-given`` says, or else ``--prune-classes``.

    Raises ValueError where they contradict each other.
    """
    said = None if given is None else classes_of(given)
    if said is None or classes is None or said == classes:
        return said or classes
    if all(map(os.path.isfile, (said, classes))) and os.path.samefile(said, classes):
        return said
    raise ValueError(
        f"--prune-classes {classes} contradicts --prune-given {given}, whose sparsities are of the "
        f"classes of --prune-classes {said}: leave --prune-classes out, or propose anew with it."
    )


def is_one_line(text: str) -> bool:
    """Whether a text is the line that :func:`one_line` makes, and no name of a file."""
    return bool(_ONE_LINE.fullmatch(text)) and not os.path.isfile(text)


def one_line(shares: Shares) -> str:
    """The shares in one line, in an order of their own: equal shares are equal text."""
    names = sorted(shares, key=lambda label: (label == REST, label))
    return "; ".join(f"{label} {shares[label]!r}" for label in names)


def _read_file(path: str) -> dict[str, float]:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"--prune-given {path} is not a readable text file ({error}).") from None
    named = ((number, line.partition("#")[0].strip()) for number, line in enumerate(lines, 1))
    return _parse(path, ((number, line) for number, line in named if line))


def _parse(origin: str, lines: Iterable[tuple[int, str]]) -> dict[str, float]:
    shares: dict[str, float] = {}
    for number, line in lines:
        words = line.split()
        try:
            label, share = words[0], float(words[1])
            if len(words) != 2 or not 0.0 <= share < 1.0:
                raise ValueError
        except (IndexError, ValueError):
            raise ValueError(
                f"{origin} line {number}: {line!r} is not `CLASS SPARSITY` with a sparsity in "
                "[0, 1)."
            ) from None
        if label in shares:
            raise ValueError(f"{origin} line {number}: {label} has a sparsity already.")
        shares[label] = share
    if not shares:
        raise ValueError(f"{origin} names no class: write one `CLASS SPARSITY` a line.")
    return shares
