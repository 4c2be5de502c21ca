"""A refusal that nothing catches ends a program in a sentence."""

import subprocess
import sys

import pytest

ENDS = (
    "import sys; from _fairseq_prune_compat.endings import refusals_end_programs; "
    "from _fairseq_prune_compat.loading import CheckpointRefused; "
    "refusals_end_programs(); {}; raise {}('no.')"
)


@pytest.mark.parametrize(
    ("before", "error", "code", "last"),
    [
        ("0", "CheckpointRefused", 2, ["fairseq_prune: no."]),
        ("0", "ValueError", 1, ["ValueError: no."]),
        ("sys.ps1 = 1", "CheckpointRefused", 1, []),
    ],
    ids=["ours", "another", "at a prompt"],
)
def test_a_refusal_ends_a_program(before: str, error: str, code: int, last: list[str]) -> None:
    command = [sys.executable, "-c", ENDS.format(before, error)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    lines = done.stderr.splitlines()
    assert done.returncode == code and lines[-1:] == (last or lines[-1:])
    assert ("Traceback" in done.stderr) == (code == 1)
