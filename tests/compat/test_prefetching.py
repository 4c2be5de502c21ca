"""A process ends in peace while fairseq's thread is making batches."""

import queue
import subprocess
import sys
import threading

import pytest

from fairseq_prune.compat import prefetching

ENDS = """
import sys, torch
from fairseq.data.iterators import BufferedIterator

class Batches:
    def __len__(self):
        return 10**9

    def __iter__(self):
        return self

    def __next__(self):
        return torch.stack([torch.zeros(200, 300) for _ in range(4)])

batches = BufferedIterator({size}, Batches())
next(batches)
{end}
"""


SIZES = {"full": 1, "never full": 10**6}
ENDINGS = ("", "raise KeyboardInterrupt", "sys.exit(3)")
FAST = [("", "full"), ("raise KeyboardInterrupt", "never full")]  # each imports torch and fairseq
CASES = [(end, size) for size in SIZES for end in ENDINGS]


@pytest.mark.parametrize(
    ("end", "size"),
    [case if case in FAST else pytest.param(*case, marks=pytest.mark.slow) for case in CASES],
)
def test_no_abort(end: str, size: str) -> None:
    command = [sys.executable, "-c", ENDS.format(size=SIZES[size], end=end)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "terminate called" not in done.stderr
    assert done.returncode == {"": 0, "sys.exit(3)": 3}.get(end, -2)


def test_a_thread_that_was_never_started_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Consumer(threading.Thread):
        _queue: queue.Queue[int] = queue.Queue()

    begun = Consumer(target=lambda: None)
    monkeypatch.setattr(threading, "enumerate", lambda: [begun])
    prefetching._end_threads(Consumer)  # Ctrl-C came while it was being started
