"""A rank that is killed takes the run down at once, and the resumed run is the undisturbed one."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ARCHES, BIN, ROOT, TRAINING, differences, read, run, torchrun, trained

PRUNE = (
    "--prune-scheme class-blind --prune-sparsity 0.7 --prune-schedule gradual --prune-start 4 "
    "--prune-end 24 --prune-every 4 --max-update 28 --save-interval-updates 3 "
    "--prune-saliency snip --prune-score-batches 8 --keep-interval-updates 1 "
    "--ddp-backend legacy_ddp --distributed-backend gloo"
).split()
BOUND = 60  # seconds from the kill to the end of all processes, start-up of nothing included
# where rank 0's log shows it, and how long after that at most
MOMENTS = {
    "scoring": ("scoring weights", 0.02),
    "saving": ("Saving checkpoint to", 0.02),
    "between": ("Finished saving", 0.5),
}


class Run:
    """A training of several ranks in processes of their own.

    Args:
        by_hand: without torchrun, as other launchers do it: each rank is a process for itself.
    """

    def __init__(self, ranks: int, log: Path, flags: list[Any], by_hand: bool) -> None:
        name, *words = torchrun(ranks)
        self._log, self._ranks = log, ranks
        with log.open("w") as out:

            def start(command: list[Any], **environment: str) -> "subprocess.Popen[bytes]":
                return subprocess.Popen(
                    list(map(str, command)), stdout=out, stderr=out, env=os.environ | environment
                )

            if by_hand:
                where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(words[-2])}
                where["WORLD_SIZE"] = str(ranks)
                command = [words[-1], *flags]
                self._all = [start(command, RANK=str(rank), **where) for rank in range(ranks)]
            else:
                self._all = [start([BIN / name, *words, *flags])]

    def pids(self) -> list[int]:
        """The ranks' processes."""
        if len(self._all) > 1:
            return [process.pid for process in self._all]
        parent = self._all[0].pid
        return list(map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split()))

    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def running(self) -> bool:
        return all(process.poll() is None for process in self._all)

    def wait(self, seconds: float) -> None:
        """Until all have ended; an error where some have not in time."""
        for process in self._all:
            process.wait(timeout=seconds)

    def stop(self) -> None:
        for process in self._all:
            if process.poll() is None:
                process.terminate()
                process.wait()


def kill_one(training: Run, moment: str, draw: random.Random, skip: int) -> float | None:
    """Kill one rank at that moment; when it was, or None where the run ended before.

    Args:
        skip: how many such moments to let pass.
    """
    text, most = MOMENTS[moment]
    while training.said().count(text) <= skip:
        if not training.running():
            return None
        time.sleep(0.01)
    time.sleep(draw.uniform(0, most))
    pids = training.pids()
    victim = pids[0] if moment == "saving" else draw.choice(pids)
    os.kill(victim, signal.SIGKILL)
    return time.monotonic()


def updates_of(folder: Path) -> int:
    last = folder / "checkpoint_last.pt"
    return int(read(last)["optimizer_history"][-1]["num_updates"]) if last.exists() else 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "ranks", "by_hand"),
    [("lstm", 2, False), ("transformer", 4, False), ("lstm", 2, True)],
)
def test_a_killed_rank_ends_the_run_and_changes_nothing(
    corpus: Path, tmp_path: Path, arch: str, ranks: int, by_hand: bool
) -> None:
    flags = [
        corpus, *ARCHES[arch], *TRAINING, *PRUNE, "--user-dir", ROOT / "fairseq_prune", "--save-dir"
    ]  # fmt: skip
    run(*torchrun(ranks), *flags, tmp_path / "straight")
    draw, folder, kills, took = random.Random(ranks), tmp_path / "killed", 0, []
    for moment in (*MOMENTS, *MOMENTS):
        if updates_of(folder) == 28:
            break
        training = Run(ranks, tmp_path / "log", [*flags, folder], by_hand)
        try:
            at = kill_one(training, moment, draw, skip=draw.randint(0, 1))
            training.wait(BOUND)
        finally:
            training.stop()
        if at is not None:
            kills += 1
            took.append(time.monotonic() - at)
            told = "Connection closed by peer" if by_hand else "Signal 9 (SIGKILL)"
            assert told in training.said() or "Connection reset" in training.said()
    if updates_of(folder) < 28:
        run(*torchrun(ranks), *flags, folder)
    print(f"{kills} kills; seconds until all had ended: {[round(s, 1) for s in took]}")
    assert kills >= 3
    straight, killed = (
        read(tmp_path / name / "checkpoint_last.pt") for name in ("straight", "killed")
    )
    assert differences(trained(straight), trained(killed)) == []
