"""A line on a terminal that says what goes on, and for how long, below what is printed."""

import sys
import threading
from collections.abc import Callable
from typing import Any

from tqdm import tqdm  # type: ignore[import-untyped]

from fairseq_prune.files.closing import Closing

_SLOW = 1.5  # seconds after which it is worth its line
_TICK = 0.5  # seconds from one look of it to the next


class Progress(Closing):
    """A line on stderr, for work that takes long and has somebody to watch it.

    Use as a context manager. It shows what is done and for how long already; with phases, each a
    share of the whole, a bar. A thread keeps it alive while a phase says nothing.
    """

    def __init__(self, label: str = "") -> None:
        self._shown = sys.stderr.isatty()
        bar = "{desc} {elapsed}" if label else "{desc:20} {percentage:3.0f}%|{bar}| {elapsed}"
        self._bar = tqdm(
            total=1.0, desc=label, delay=_SLOW, disable=not self._shown, leave=False,
            file=sys.stderr, bar_format=bar,
        )  # fmt: skip
        self._lock = threading.RLock()
        self._seen = self._midline = False
        self._over = threading.Event()
        self._alive = threading.Thread(target=self._keep_alive, daemon=True)
        self._streams = sys.stdout, sys.stderr

    def _keep_alive(self) -> None:
        wait = _SLOW
        while not self._over.wait(wait):
            with self._lock:
                if not self._midline:
                    self._bar.refresh()
                    self._seen = True
            wait = _TICK

    def say(self, label: str) -> None:
        """Show what is done now."""
        self._bar.set_description_str(label, refresh=False)  # not before the delay

    def phase(self, label: str, share: float, total: int) -> Callable[[int], None]:
        """What is to be called with each amount of ``total`` that is done."""
        self.say(label)
        return lambda done: self._advance(share * done / max(total, 1))

    def scored(self, done: int, total: int) -> None:
        """Show how many batches of how many are scored."""
        self.say(f"scored {done}/{total}")

    def _advance(self, by: float) -> None:
        with self._lock:
            self._bar.n += min(by, 1.0 - self._bar.n)

    def write_above(self, stream: Any, text: str) -> int:
        """Write to a stream of the terminal where the line stands."""
        with self._lock:
            self._wipe()
            written: int = stream.write(text)
            self._midline = not text.endswith("\n") if text else self._midline
            return written

    def _wipe(self) -> None:
        if self._seen:
            self._bar.clear()  # close() would leave what refresh() has shown
            self._seen = False

    def __enter__(self) -> "Progress":
        if self._shown:
            sys.stdout, sys.stderr = (_Above(stream, self) for stream in self._streams)
            self._alive.start()
        return self

    def close(self) -> None:
        """Wipe the line, for good."""
        self._over.set()
        if self._shown:
            self._alive.join()
            sys.stdout, sys.stderr = self._streams
            self._wipe()
        self._bar.close()


class _Above:
    """A stream whose writer need not know of the line below."""

    def __init__(self, stream: Any, progress: Progress) -> None:
        self._stream, self._progress = stream, progress

    def write(self, text: str) -> int:
        return self._progress.write_above(self._stream, text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
