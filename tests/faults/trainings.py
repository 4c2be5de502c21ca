"""Trainings in processes of their own, to be killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fairseq_prune.study import forks
from tests.conftest import ROOT, differences, read, trained
from tests.faults import breakdown


class Process:
    """A process whose output goes to ``log``."""

    def __init__(self, log: Path) -> None:
        self.log = log

    def start(self, target: Callable[..., int], words: list[Any], fault: str) -> "Process":
        """Begin; it is a fork."""
        call = ([str(word) for word in words], fault)
        self._child: Any = forks.start(target, call, self.log, {})
        self.pid: int = self._child.pid
        return self

    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return bool(self._child.is_alive())

    def wait(self) -> int:
        """Its exit code, -N if signal N ended it."""
        self._child.join(300)
        return int(self._child.exitcode)


class Fresh(Process):
    """A training that is started as a user does."""

    def start(self, target: Callable[..., int], words: list[Any], fault: str) -> "Process":
        """Begin; ``target`` is :func:`breakdown.train`."""
        command = [sys.executable, "-m", "tests.faults.breakdown", fault, *map(str, words)]
        with self.log.open("w") as log:
            self._child = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)
        self.pid = self._child.pid
        return self

    def is_alive(self) -> bool:
        return self._child.poll() is None

    def wait(self) -> int:
        return int(self._child.wait(300))


class Case:
    """One training: its flags, and how it is started.

    Args:
        flags: of fairseq-train, without --save-dir.
        place: where logs and folders go.
        kind: of the processes.
    """

    def __init__(self, flags: list[Any], place: Path, kind: type[Process] = Process) -> None:
        self.flags, self.place, self.kind = flags, place, kind

    def start(self, name: str, fault: str = "") -> Process:
        """Begin, or go on, in the folder ``name``."""
        words = [*self.flags, "--save-dir", self.place / name]
        log = self.place / f"{name.partition('/')[0]}.log"
        return self.kind(log).start(breakdown.train, words, fault)

    def end(self, name: str, fault: str = "") -> tuple[int, str]:
        """Let it run to its end: exit code and output."""
        process = self.start(name, fault)
        code = process.wait()
        return code, process.log.read_text()

    def finish(self, name: str) -> None:
        """Let it run to its end, which has to be a good one."""
        code, said = self.end(name)
        assert code == 0, said[-3000:]

    def kill(self, name: str, after: float, with_signal: int = signal.SIGKILL) -> int:
        """Send a signal so many seconds after the next save; the exit code."""
        last = self.place / name / "checkpoint_last.pt"
        before, process = _changed(last), self.start(name)
        while process.is_alive() and _changed(last) == before:
            time.sleep(0.01)  # start-up is not what is tested
        time.sleep(after)
        if process.is_alive():
            os.kill(process.pid, with_signal)
        return process.wait()

    def updates(self, name: str) -> int:
        """How many updates are saved; every checkpoint in the folder must be whole."""
        for path in (self.place / name).glob("*.pt"):
            read(path)
        last = self.place / name / "checkpoint_last.pt"
        return int(read(last)["optimizer_history"][-1]["num_updates"]) if last.exists() else 0

    def differences(self, name: str, other: str) -> list[str]:
        """Where the last checkpoints of two folders differ."""
        a, b = (trained(read(self.place / n / "checkpoint_last.pt")) for n in (name, other))
        return differences(a, b)


def _changed(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0
