"""The user's own fairseq-train command line: what may be in it, and running it."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from fairseq_prune.files.text import last_lines, value_of
from fairseq_prune.study.commands import USER_DIR

_SHOWN = 3  # last lines of a log in an error
_PATIENCE = (1.0, 5.0)  # seconds: for a terminal's Ctrl-C, which the training has had, and for ours

# what would undo or prevent the rewinding, and why
_REFUSED = {
    "--save-dir": "each round has its own folder below --output",
    "--user-dir": "it is set to this package",
    "--restore-file": "a round starts from its own folder; --finetune-from-model FILE says where "
    "the first one starts",
    "--continue-once": "a round starts from its own folder",
    "--reset-optimizer": "rewinding restores the optimizer",
    "--reset-lr-scheduler": "rewinding restores the schedule",
    "--reset-dataloader": "rewinding restores the order of the data",
    "--reset-meters": "a round that was cut could not go on",
    "--no-save": "each round starts from what the one before saved",
    "--no-last-checkpoints": "each round starts from what the one before saved",
    "--no-save-optimizer-state": "rewinding restores the optimizer",
    "--checkpoint-suffix": "the rounds look for checkpoint_last.pt",
}


def number_of(command: Sequence[str], flag: str) -> int | None:
    """The value of a flag as a number; None where there is none, or it is no whole number."""
    try:
        return int(value_of(command, flag) or "")
    except ValueError:
        return None


def check_command(command: Sequence[str]) -> None:
    """Raise ValueError where these words of fairseq-train cannot be run in rounds."""
    if not command or command[0].startswith("-"):
        raise ValueError(
            "after -- comes the command line of fairseq-train, DATA first: "
            "tickets --output DIR -- DATA --arch transformer --max-update 2000 ..."
        )
    for word in command:
        flag = word.partition("=")[0]
        if flag in _REFUSED:
            raise ValueError(f"leave {flag} out of the fairseq-train command: {_REFUSED[flag]}.")
        if flag.startswith("--prune-") and flag != "--prune-bert":  # a flag of the model
            raise ValueError(f"give {flag} before the --, with the other flags of tickets.")
    if value_of(command, "--ddp-backend") == "fully_sharded":
        raise ValueError(
            "--ddp-backend fully_sharded flattens parameters, so that single weights cannot be "
            "pruned; use legacy_ddp or pytorch_ddp."
        )
    if not (number_of(command, "--max-update") or number_of(command, "--max-epoch")):
        raise ValueError(
            "the fairseq-train command has no --max-update and no --max-epoch: a round would "
            "never end."
        )


def train(
    command: Sequence[str],
    folder: Path,
    keep_open: int,
    plugin: str = USER_DIR,
    shown: Callable[[subprocess.Popen[bytes], Path, int], None] | None = None,
) -> None:
    """Run fairseq-train in ``folder``, which it resumes; what it says is added to train.log there.

    Args:
        command: what follows ``fairseq-train``, without --save-dir and --user-dir.
        keep_open: a file descriptor that the training holds open for as long as it runs.
        plugin: --user-dir.
        shown: called with the running process, its log and where in it this run begins.

    Raises ValueError, with the log's last lines, where it fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "train.log"
    begin = log.stat().st_size if log.is_file() else 0
    # as the console script does; with -m, the processes of several GPUs would import it twice
    start = [sys.executable, "-c", "from fairseq_cli.train import cli_main; cli_main()"]
    own = ["--user-dir", plugin, "--save-dir", str(folder)]
    with log.open("ab") as file:
        done = subprocess.Popen(
            [*start, *command, *own],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            pass_fds=(keep_open,),
        )
    with _ended(done):
        if shown is not None:
            shown(done, log, begin)
    if done.returncode:
        last = " / ".join(line.strip() for line in last_lines(log, _SHOWN))
        raise ValueError(
            f"fairseq-train failed with exit code {done.returncode}; its log {log} ends: {last}"
        )


@contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Wait for a training at the end; where this process is interrupted, end it first."""
    try:
        yield
        process.wait()
    except BaseException:
        for seconds in _PATIENCE:
            with suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
                break
            process.send_signal(signal.SIGINT)
        process.kill()
        raise
