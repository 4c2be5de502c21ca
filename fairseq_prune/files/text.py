"""Short texts: names of files, lists of names, ends of logs, what an error or a process said."""

import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path


def file_name(text: str) -> str:
    """``text`` as it may be part of a file's name, which a disk limits to 255 bytes."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-")[:50] or "model"


def listed(names: Sequence[str], most: int) -> str:
    """The first names, ``most`` of them, and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def first_line(error: BaseException | str, most: int = 300) -> str:
    """The first line of what an error says, without the full stop; its type where it says nothing.

    Args:
        most: letters.
    """
    lines = str(error).strip().splitlines() or [""]
    return lines[0].rstrip(".")[:most] or type(error).__name__


def last_lines(log: Path, count: int = 12) -> list[str]:
    """The last lines of a log that say something; none where it cannot be read."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 20_000))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    return [line.rstrip() for line in text.splitlines() if line.strip()][-count:]


def this_command() -> str:
    """The command line of this process, as it can be typed again."""
    program = os.path.basename(sys.argv[0]) if sys.argv else ""
    return shlex.join([program, *sys.argv[1:]])


def value_of(words: Sequence[str], flag: str) -> str | None:
    """The value that a command line gives a flag, the last one given; None without."""
    found = None
    for position, word in enumerate(words):
        if word == flag and position + 1 < len(words):
            found = words[position + 1]
        elif word.startswith(flag + "="):
            found = word.partition("=")[2]
    return found


def by_flag(words: Sequence[str]) -> dict[str, str]:
    """A command line by its flags, each with its values as one text; "" for what stands first."""
    found, flag = {"": ""}, ""
    for word in words:
        begins = word.startswith("--")
        flag, equals, value = word.partition("=") if begins else (flag, "", word)
        text = value if equals or not begins else ""
        found[flag] = " ".join(filter(None, [found.get(flag, "") if not begins else "", text]))
    return found
