"""How much CPU time the command of a point takes, in all the runs that it took to do it."""

import os
import resource
from pathlib import Path

from fairseq_prune.study.folder import Folder

SPENT = "spent"  # a file of a point's folder while its command runs
EVERY = 20.0  # seconds between two notes, so much a kill may lose


class Spent:
    """CPU seconds of a command, those of runs that were cut included.

    Args:
        folder: of the point, where they are noted while the command runs.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder, self._begin = folder, cpu_seconds()
        noted = folder.read(SPENT) or {}
        #: what runs before this one took; None where nothing is known
        self.before: float | None = noted.get("seconds")

    def note(self, process: int) -> None:
        """Write down what the command has taken until now.

        Args:
            process: its number; it still runs.
        """
        self._write(cpu_seconds() - self._begin + _of_tree(process))

    def end(self) -> float:
        """What it took, now that it has ended; a command that failed will be run again."""
        return self._write(cpu_seconds() - self._begin)

    def _write(self, seconds: float) -> float:
        total = round((self.before or 0.0) + seconds, 2)
        self._folder.write(SPENT, {"seconds": total})
        return total


def cpu_seconds() -> float:
    """Of this process and of those that it has waited for."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def _of_tree(root: int) -> float:
    """CPU seconds of a process and of all below it; 0 where the system does not tell."""
    below: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # the name before it, in brackets, may hold anything
            said = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        number = int(path.parent.name)
        below.setdefault(int(said[1]), []).append(number)
        used[number] = sum(map(int, said[11:15])) / os.sysconf("SC_CLK_TCK")
    total, left = 0.0, [root]
    while left:
        process = left.pop()
        total += used.get(process, 0.0)
        left += below.get(process, [])
    return total
