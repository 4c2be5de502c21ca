"""Colour on a terminal: none in files and pipes, and none where NO_COLOR is set."""

import os
import sys
from typing import IO

_CODES = {"red": 31, "green": 32, "yellow": 33, "cyan": 36, "bold": 1}


def coloured(text: str, colour: str, stream: IO[str] | None = None) -> str:
    """The text in a colour, if the stream (stderr) is a terminal that shows it.

    See https://no-color.org: NO_COLOR, set to anything, is without.
    """
    shown = (stream or sys.stderr).isatty() and os.environ.get("TERM") != "dumb"
    if not shown or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m"
