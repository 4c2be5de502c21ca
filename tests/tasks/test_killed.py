"""A run that is killed at any moment goes on to the very result of the undisturbed one."""

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import ARCHES, BIN, ROOT, TRAINING, differences, read, run, trained

PRUNE = (
    "--prune-scheme class-blind --prune-sparsity 0.7 --prune-schedule gradual --prune-start 5 "
    "--prune-end 35 --prune-every 5 --max-update 40 --save-interval-updates 3 "
    "--keep-interval-updates 1"
).split()


def updates_done(folder: Path) -> int:
    last = folder / "checkpoint_last.pt"
    return int(read(last)["optimizer_history"][-1]["num_updates"]) if last.exists() else 0


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["lstm", "transformer"])
def test_kills_at_random_moments_change_nothing(corpus: Path, tmp_path: Path, arch: str) -> None:
    flags = [
        corpus, *ARCHES[arch], *TRAINING, *PRUNE, "--user-dir", ROOT / "fairseq_prune", "--save-dir"
    ]  # fmt: skip
    run("fairseq-train", *flags, tmp_path / "straight")
    draw, kills, folder = random.Random(1), 0, tmp_path / "killed"
    for _ in range(8):
        log = (tmp_path / "log").open("w+")
        command = [str(part) for part in (BIN / "fairseq-train", *flags, folder)]
        training = subprocess.Popen(command, stdout=log, stderr=log)
        before = updates_done(folder)
        while training.poll() is None and updates_done(folder) == before:
            time.sleep(0.05)  # start-up is not what is tested
        time.sleep(draw.uniform(0, 0.5))
        if training.poll() is None:
            training.send_signal(signal.SIGKILL)
            kills += 1
        training.wait()
        if updates_done(folder) == 40:
            break
    else:
        run("fairseq-train", *flags, folder)
    # (a finished run that is called again makes one update more: fairseq's own habit)
    assert kills > 0
    straight = read(tmp_path / "straight" / "checkpoint_last.pt")
    killed = read(folder / "checkpoint_last.pt")
    assert differences(trained(straight), trained(killed)) == []
