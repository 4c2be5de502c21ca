"""Programs in forks of one process that has imported torch and fairseq (study/forks.py).

A module of its own, as each fork imports it.
"""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from fairseq_prune.study import forks
from tests.quick_settings import quick_settings

# fairseq-hydra-train is left out: its user dir is in a file
PROGRAMS = (
    *("fairseq-train", "fairseq-generate", "fairseq-interactive", "fairseq-validate"),
    *("fairseq-preprocess", "fairseq-eval-lm", "fairseq-prune"),
)
LIMIT = 300  # seconds


def can_fork(words: Sequence[str]) -> bool:
    """Whether a command does the same in a fork; plugins of others register by importing us."""
    place = words.index("--user-dir") + 1 if "--user-dir" in words else 0
    return words[0] in PROGRAMS and (not place or forks.is_ours(words[place]))


def run(words: Sequence[str], log: Path, environment: Mapping[str, str] = os.environ) -> int:
    """Run a command as a new interpreter would; its exit code, and in ``log`` what it prints."""
    process = forks.start(_become, (words, os.getcwd(), dict(environment)), log, {})
    process.join(LIMIT)
    if process.exitcode is None:
        os.killpg(process.ident, signal.SIGKILL)
        process.join()
        raise subprocess.TimeoutExpired(list(words), LIMIT, log.read_bytes())
    return process.exitcode


def _become(words: Sequence[str], folder: str, environment: Mapping[str, str]) -> int:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    quick_settings()
    forks.become(words)


def end_server() -> None:
    """End the process whose forks these are."""
    from multiprocessing import forkserver

    forkserver._forkserver._stop()
