"""The CPU time of a point, over all runs that it took."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fairseq_prune.study.cpu_time import SPENT, Spent, cpu_seconds
from fairseq_prune.study.folder import Folder


def test_what_was_cut_counts(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    first = Spent(folder)
    assert first.before is None
    _burn(0.2)
    first.note(0)
    noted = folder.read(SPENT)
    assert noted is not None and noted["seconds"] >= 0.19
    # killed there; the next run goes on
    second = Spent(folder)
    assert second.before == noted["seconds"]
    _burn(0.1)
    assert second.end() == pytest.approx(noted["seconds"] + 0.1, abs=0.05)


def test_a_command_that_runs_counts_with_all_below_it(tmp_path: Path) -> None:
    burn = "import time\nwhile time.process_time() < 0.4: pass\nprint(flush=True)\ntime.sleep(99)"
    outer = f"import subprocess\nsubprocess.run({[sys.executable, '-c', burn]!r})"
    spent, words = Spent(Folder(tmp_path)), [sys.executable, "-c", outer]
    with subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        spent.note(process.pid)
        os.killpg(process.pid, signal.SIGKILL)
    noted = Folder(tmp_path).read(SPENT)
    assert noted is not None and noted["seconds"] >= 0.39


def _burn(seconds: float) -> None:
    end = cpu_seconds() + seconds
    while cpu_seconds() < end:
        pass
