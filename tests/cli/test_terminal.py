"""What a person at a terminal sees: colour, and that something goes on; none of it in a pipe."""

import fcntl
import os
import pty
import struct
import sys
import termios
from pathlib import Path

import pytest

SLEEPS = """
import time
from fairseq_prune.cli._progress import Progress
with Progress("reading dense.pt"):
    time.sleep(2.6)
    print("a row")
print("done")
"""


def on_terminal(*words: str, **environment: str) -> str:
    """What a program writes to a terminal of 80 columns."""
    process, terminal = pty.fork()
    if process == 0:
        os.environ.update({"TERM": "xterm", **environment})
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        os.execv(words[0], words)
    found = b""
    while True:
        try:
            found += (part := os.read(terminal, 4096))
        except OSError:  # the program has ended
            part = b""
        if not part:
            os.waitpid(process, 0)
            return found.decode()


def test_what_takes_long_says_so_and_is_wiped_away() -> None:
    shown = on_terminal(sys.executable, "-c", SLEEPS)
    before, after = shown.split("a row\r\n")
    assert before.startswith("\rreading dense.pt 00:01")
    assert before.rpartition("reading dense.pt")[2].endswith(" " * 16 + "\r")  # an empty line
    assert after.replace("\r", "").strip() == "done"


@pytest.mark.parametrize(
    ("environment", "red"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_a_refusal_is_red_where_colours_are_wanted(
    environment: dict[str, str], red: bool, tmp_path: Path
) -> None:
    environment = {"NO_COLOR": "", **environment}
    words = [sys.executable, "-m", "fairseq_prune", "inspect", str(tmp_path / "none.pt")]
    shown = on_terminal(*words, **environment)
    assert "none.pt" in shown
    assert shown.startswith("\x1b[31mfairseq-prune\x1b[0m: ") == red
    assert ("\x1b" in shown) == red
