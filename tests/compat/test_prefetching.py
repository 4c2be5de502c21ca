"""A process ends in peace while fairseq's thread is making batches."""

import subprocess
import sys

import pytest

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


@pytest.mark.parametrize("size", [1, 10**6], ids=["full", "never full"])
@pytest.mark.parametrize("end", ["", "raise KeyboardInterrupt", "sys.exit(3)"])
def test_no_abort(size: int, end: str) -> None:
    command = [sys.executable, "-c", ENDS.format(size=size, end=end)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "terminate called" not in done.stderr
    assert done.returncode == {"": 0, "sys.exit(3)": 3}.get(end, -2)
