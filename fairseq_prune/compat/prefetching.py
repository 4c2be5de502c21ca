"""The thread in which fairseq collates the next batches ends before the process does.

It is a daemon, and so keeps no process alive: Python lets it run on while it takes itself down.
A thread that is in torch's C++ at that moment is unwound through code that does not allow it:
"terminate called without an active exception", exit code 134, for a training that is done and
saved.
"""

import atexit
import contextlib
import importlib
import queue
import threading
import time
from typing import Any

_SECONDS = 10.0  # for the batch that it is at


class _Closed:
    """Stands where a thread puts its batches, and ends it at the next."""

    def put(self, batch: Any) -> None:
        raise SystemExit  # which ends a thread without a word


def prefetching_ends() -> None:
    """Has the process wait, as it ends, for the batch that is being made."""
    iterators: Any = importlib.import_module("fairseq.data.iterators")
    atexit.register(_end_threads, iterators.BackgroundConsumer)


def _end_threads(kind: type[threading.Thread]) -> None:
    found: list[Any] = [thread for thread in threading.enumerate() if isinstance(thread, kind)]
    for thread in found:
        batches, thread._queue = thread._queue, _Closed()
        with contextlib.suppress(queue.Empty):
            while True:  # it may wait for room in a full queue
                batches.get_nowait()
    for thread in found:
        end = time.monotonic() + 1.0  # an interrupt may come while it is being started
        while thread.ident is None and time.monotonic() < end:
            time.sleep(0.01)
        if thread.is_alive():
            thread.join(_SECONDS)
