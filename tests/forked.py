"""Programs in forks of one process that has imported torch and fairseq (study/forks.py).

A module of its own, as each fork imports it: no pytest.
"""

import multiprocessing
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from fairseq_prune.study import forks
from tests.quick_settings import quick_settings

# fairseq-hydra-train is left out: its user dir is in a file
PROGRAMS = (
    *("fairseq-train", "fairseq-generate", "fairseq-interactive", "fairseq-validate"),
    *("fairseq-preprocess", "fairseq-eval-lm", "fairseq-prune"),
)
_TORCHRUN = ["--nproc_per_node", "--master_port"]
LIMIT = 300  # seconds


def can_fork(words: Sequence[str]) -> bool:
    """Whether a command does the same in forks; plugins of others register by importing us."""
    program, *flags = _ranks_of(words)[0]
    place = flags.index("--user-dir") + 1 if "--user-dir" in flags else 0
    return program in PROGRAMS and (not place or forks.is_ours(flags[place]))


def _ranks_of(words: Sequence[str]) -> tuple[Sequence[str], int, str]:
    """The program's words, how many ranks run it, and their port; 0 ranks without torchrun."""
    if words[0] != "torchrun" or words[1:4:2] != _TORCHRUN:
        return words, 0, ""
    return [Path(words[5]).name, *words[6:]], int(words[2]), words[4]


def run(words: Sequence[str], log: Path) -> int:
    """Run a command as a new interpreter would; its exit code, and in ``log`` what it prints."""
    program, ranks, port = _ranks_of(words)
    place = (os.getcwd(), dict(os.environ))
    if ranks:
        process = forks.start(_run_ranks, (program, *place, ranks, port), log, {})
    else:
        process = forks.start(_become, (program, *place), log, {})
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


def _run_ranks(
    words: Sequence[str], folder: str, environment: Mapping[str, str], ranks: int, port: str
) -> int:
    """Run a program in as many processes, as torchrun does; where one fails, it ends the others."""
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(ranks)}
    started = []
    for rank in range(ranks):
        own = {**environment, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        fork = multiprocessing.get_context("fork")
        started.append(fork.Process(target=_become, args=(words, folder, own)))
        started[-1].start()
    while running := [process.sentinel for process in started if process.exitcode is None]:
        wait(running)
        if any(process.exitcode for process in started):
            for process in started:
                process.terminate()
    return max(abs(process.exitcode) for process in started)


def train_here(flags: list[Any]) -> None:
    """fairseq-train in this process, with our user dir; what fairseq keeps globally is reset."""
    from fairseq import checkpoint_utils, options
    from fairseq.dataclass.utils import convert_namespace_to_omegaconf
    from fairseq.logging import metrics
    from fairseq_cli.train import main, should_stop_early

    from fairseq_prune import register

    register()
    metrics.reset()
    vars(should_stop_early).clear()
    if hasattr(checkpoint_utils.save_checkpoint, "best"):
        del checkpoint_utils.save_checkpoint.best
    parser = options.get_training_parser()
    arguments = options.parse_args_and_arch(parser, input_args=[str(flag) for flag in flags])
    main(convert_namespace_to_omegaconf(arguments))
