"""Processes that begin where a new interpreter would be after its imports.

One process imports torch, fairseq and this package (preload.py), and each process here is a fork of
it, or of such a fork: a process of its own, whose crash ends nothing else. It has run nothing
before: no seed was drawn, nothing is registered.
"""

import atexit
import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import fairseq_prune


def start(
    function: Callable[..., int], arguments: Sequence[Any], log: Path,
    environment: Mapping[str, str], imported: bool = True,
) -> BaseProcess:  # fmt: skip
    """Start ``function`` in a process that leads a group of its own; its value is the exit code.

    Args:
        function, arguments: found by name and pickled.
        log: gets what it prints.
        environment: the variables that it has besides this process's own.
        imported: whether the imports are done; if not, as with GPUs, it is a new interpreter.
    """
    # what torch and numpy read when they are imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    context = multiprocessing.get_context("forkserver" if imported else "spawn")
    if imported:
        context.set_forkserver_preload(["fairseq_prune.study.preload"])
    # the two kinds of context have no common type with Process in it
    process: BaseProcess = context.Process(  # type: ignore[attr-defined]
        target=_lead, args=(function, arguments, str(log), dict(environment))
    )
    # a Ctrl-C goes to all that a terminal runs, and is the driver's to answer: others would print
    # a traceback while they import
    resource_tracker.ensure_running()  # at its start it lets the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return process


def _lead(
    function: Callable[..., int], arguments: Sequence[Any], log: str, environment: dict[str, str]
) -> None:
    os.setsid()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.environ.update(environment)
    with open(log, "wb") as file:
        _print_to(file)
    sys.exit(function(*arguments))


def run(
    words: Sequence[str], log: BinaryIO, note: Callable[[int], None] = lambda process: None,
    every: float | None = None,
) -> int:  # fmt: skip
    """Run fairseq-prune, or a program of fairseq's, in a fork of this process.

    Returns its exit code; a negative one is a signal.

    Args:
        words: the program's name, and its arguments.
        log: gets what it prints.
        note: is told the process's number every ``every`` seconds while it runs; None for never.
    """
    process = multiprocessing.get_context("fork").Process(target=_program, args=(words, log))
    process.start()
    while process.exitcode is None:
        process.join(every)
        if process.exitcode is None and process.pid is not None:
            note(process.pid)
    return process.exitcode


def _program(words: Sequence[str], log: BinaryIO) -> None:
    _print_to(log)
    become(words)


def become(words: Sequence[str]) -> NoReturn:
    """Go on as fairseq-prune, or a program of fairseq's, and end this process as it ends.

    Args:
        words: the program's name, and its arguments.
    """
    sys.argv = [str(Path(sys.executable).parent / words[0]), *words[1:]]
    program, *_ = entry_points(group="console_scripts", name=words[0])
    if "numpy.random" in sys.modules:  # it draws a seed when it is imported
        sys.modules["numpy.random"].seed()
    try:
        main = program.load()
        if program.module.startswith("fairseq_prune."):
            logging.getLogger().setLevel(logging.WARNING)  # as where fairseq is not imported yet
        elif "--user-dir" in words and is_ours(words[words.index("--user-dir") + 1]):
            fairseq_prune.register()  # being imported already, it is not told
        sys.exit(main())
    except Exception:  # some of them are one sentence
        sys.excepthook(*sys.exc_info())
        sys.exit(1)
    finally:  # a fork does not do so itself
        atexit._run_exitfuncs()


def is_ours(user_dir: str) -> bool:
    """Whether a --user-dir is this package."""
    own = Path(fairseq_prune.__file__).parent
    return user_dir == own.name or (Path(user_dir).exists() and own.samefile(user_dir))


def _print_to(file: BinaryIO) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(file.fileno(), 1)
    os.dup2(file.fileno(), 2)
