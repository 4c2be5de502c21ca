"""A training as its log tells it: what somebody who waits for it wants to know."""

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from fairseq_prune.cli import _output
from fairseq_prune.cli._progress import Progress
from fairseq_prune.files.colour import coloured

_POLL = 0.2  # seconds
_LINE = re.compile(r"^\S+ \S+ \| (?P<level>[A-Z]+) \| (?P<name>[\w.]+) \| (?P<text>.*)$")
_INNER = re.compile(r"epoch (?P<epoch>\d+):\s+(?P<done>\d+) / (?P<of>\d+) .*?loss=(?P<loss>[^,]+)")
_SCORED = re.compile(r"epoch (?P<epoch>\d+) \| valid on '(?P<subset>[^']*)' subset \| (?P<rest>.*)")
_SHOWN = ("loss", "nll_loss", "ppl", "bleu", "accuracy")


def watch(process: "subprocess.Popen[bytes]", log: Path, begin: int) -> None:
    """Print what a training says until it ends: each validation, what is pruned, and warnings.

    Args:
        process: what writes the log.
        log: its file.
        begin: the byte where this run's part begins.
    """
    with Progress("starting") as progress:
        for line in _lines(process, log, begin):
            inner = _INNER.search(line)
            if inner is not None:
                of = f"{int(inner['done'])}/{int(inner['of'])}"
                progress.say(f"epoch {int(inner['epoch'])}, {of}, loss {inner['loss']}")
            elif (sentence := told(line)) is not None:
                _output.say(sentence)


def told(line: str) -> str | None:
    """What a line of fairseq's log tells a reader, or None."""
    found = _LINE.match(line)
    if found is None:
        return None
    scored = _SCORED.match(found["text"])
    if scored is not None:
        pairs = [part.split(" ", 1) for part in scored["rest"].split(" | ")]
        values = {pair[0]: pair[1].strip() for pair in pairs if len(pair) == 2}
        shown = ", ".join(f"{name} {values[name]}" for name in _SHOWN if name in values)
        updates = values.get("num_updates", "?")
        return f"epoch {int(scored['epoch'])}, update {updates}: {scored['subset']} {shown}"
    if found["level"] in ("WARNING", "ERROR"):
        colour = "yellow" if found["level"] == "WARNING" else "red"
        return f"{coloured(found['level'].lower(), colour)}: {found['text']}"
    return found["text"] if found["name"].startswith("fairseq_prune") else None


def _lines(process: "subprocess.Popen[bytes]", log: Path, begin: int) -> Iterator[str]:
    """The whole lines of a file that grows, until its writer has ended."""
    with log.open("rb") as file:
        file.seek(begin)
        rest = b""
        while True:
            over = process.poll() is not None  # before reading: nothing that it wrote is missed
            *whole, rest = (rest + file.read()).split(b"\n")
            yield from (line.decode("utf-8", "replace") for line in whole)
            if over:
                return
            time.sleep(_POLL)
