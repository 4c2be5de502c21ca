"""What the subcommands share: checks on the file to be written, progress, and printing."""

import json
import math
import os
import shutil
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from fairseq_prune.checkpoints import storage
from fairseq_prune.cli._progress import Progress
from fairseq_prune.files.colour import coloured
from fairseq_prune.files.table import as_text
from fairseq_prune.tasks.opening import check_written


def chosen(arguments: Namespace, command: str, what: str) -> str | None:
    """The file to write, checked, or None for --dry-run.

    Args:
        what: kind of checkpoint that goes into it.

    Raises ValueError where none is given, or it cannot or must not be written.
    """
    if arguments.dry_run:
        return None
    if arguments.output is None:
        raise ValueError(f"{command} needs --output OUT for the {what} checkpoint, or --dry-run.")
    check_output(arguments.output, arguments.force)
    return str(arguments.output)


def pairs(given: Iterable[str], flag: str, example: str) -> dict[str, str]:
    """What a flag that may be repeated says; raises ValueError where one is not NAME=VALUE."""
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise ValueError(f"{flag} {text} must be NAME=VALUE, for example {example}.")
        found[name] = value
    return found


def check_output(path: str, force: bool, flag: str = "--output") -> None:
    """Raise ValueError where ``path`` cannot or must not be written."""
    target = Path(path)
    if target.is_dir():
        raise ValueError(f"{flag} {path} is a folder; give the name of a file in it.")
    if target.exists() and not target.is_file():  # a device, say, which a file would take away
        raise ValueError(f"{flag} {path} is no ordinary file; give the name of one.")
    if target.exists() and not force:
        raise ValueError(f"{flag} {path} exists; give --force to replace it.")
    folder = _existing_folder(target)
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ValueError(f"{flag} {path} cannot be written: {folder} is no writable folder.")


def check_space(path: str, tensors: Iterable[Tensor]) -> None:
    """Raise ValueError where the disk has no room for a file with these tensors at ``path``."""
    sizes = {t.data_ptr(): t.numel() * t.element_size() for t in tensors}
    needed, free = sum(sizes.values()), shutil.disk_usage(_existing_folder(Path(path))).free
    if needed > free:
        raise ValueError(
            f"--output {path} needs {in_units(needed)} and its disk has {in_units(free)} left: "
            "make room, or write elsewhere."
        )


def _existing_folder(target: Path) -> Path:
    folder = target.absolute().parent
    while not folder.exists():
        folder = folder.parent
    return folder


def size_of(path: str) -> str:
    """The size of a file, to be read."""
    return in_units(os.path.getsize(path))


def in_units(size: int) -> str:
    """A number of bytes, to be read."""
    for unit, power in (("GB", 3), ("MB", 2), ("kB", 1)):
        if size >= 1000**power:
            return f"{size / 1000**power:.1f} {unit}"
    return f"{size} bytes"


def source_of(path: str, size: int, content: Mapping[str, Any]) -> str:
    """The file that another is made of without the optimizer's state, and how large that was."""
    state = sum(t.numel() * t.element_size() for t in _optimizer_in(content))
    more = f" ({in_units(state)} of them the optimizer's state, which is left out)" if state else ""
    return f"{path}, {in_units(size)}{more}"


def _optimizer_in(content: Mapping[str, Any]) -> list[Tensor]:
    """The tensors of a checkpoint's optimizer state, each once."""
    found, left = dict[int, Tensor](), [content.get("last_optimizer_state")]
    while left:
        value = left.pop()
        if isinstance(value, Tensor):
            found[id(value)] = value
        elif isinstance(value, Mapping):
            left += value.values()
        elif isinstance(value, list | tuple):
            left += value
    return list(found.values())


def print_json(value: Any) -> None:
    """Print one line of JSON; NaN and infinity, which JSON has not, become null."""
    print(json.dumps(_finite(value), allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def unit_table(units: Mapping[str, tuple[int, int]]) -> str:
    """How many units of each axis there are, and how many of them are gone; "" without units."""
    rows = [
        [n, f"{total:,}", f"{gone:,}", f"{total - gone:,}"] for n, (total, gone) in units.items()
    ]
    return "\n" + as_text([["units of", "there", "removed", "kept"], *rows]) if rows else ""


def say(sentence: str) -> None:
    """Say on stderr how far it is, with the time."""
    print(f"{time.strftime('%H:%M:%S')}  {sentence}", file=sys.stderr)


def note(sentence: str) -> None:
    """Print on stderr what is worth knowing, and nothing to worry about."""
    print(f"fairseq-prune: {coloured('note', 'cyan')}: {sentence}", file=sys.stderr)


def warn(sentence: str) -> None:
    """Print a warning on stderr."""
    print(f"fairseq-prune: {coloured('warning', 'yellow')}: {sentence}", file=sys.stderr)


def write(content: dict[str, Any], path: str, progress: Progress, share: float, about: int) -> None:
    """Write a checkpoint of ``about`` so many bytes to ``path``, in one step.

    Before it takes its place it is opened once, by the class of its own model.

    Raises CheckpointError, with nothing left behind, where that does not work.
    """
    save(content, path, progress.phase("writing", share, about))


def save(
    content: Mapping[str, Any], path: str, written: Callable[[int], None] | None = None
) -> None:
    """The same, with any other progress."""
    untried: list[str | None] = []
    storage.save(content, path, written, lambda whole: untried.append(check_written(whole)))
    for reason in filter(None, untried):
        note(f"{path} was not opened once as usual: {reason}")
