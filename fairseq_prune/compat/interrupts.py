"""Ctrl-C in fairseq's programs and in ours: one line, exit code 130, and never lost.

While they import, it ends the process at once (startup.py). Once files may be written it raises
KeyboardInterrupt, so that half of a file is removed, and raises it again where somebody caught it.
"""

import functools
import importlib
import os
import signal
import sys
from types import FrameType, TracebackType
from typing import Any

_INTERRUPTED = 130
_AGAIN = 2.0  # seconds, after which whoever has caught it has had time to clean up
_CALL_MAIN = ("train", "hydra-train", "interactive", "validate", "eval-lm")


def program() -> str | None:
    """The program of fairseq's or ours that this process is; None where it is another's."""
    found: str | None = getattr(signal.getsignal(signal.SIGINT), "program", None)
    return found


def work_begins() -> None:
    """From now on Ctrl-C raises KeyboardInterrupt, as files may be half written."""
    _on_interrupt(_raise_again(os.getpid()))


def work_ends() -> None:
    """From now on Ctrl-C ends the process at once: nothing is left to be written or removed."""
    if program() is not None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        _on_interrupt(lambda *_: os._exit(_INTERRUPTED))


def _on_interrupt(handler: Any) -> None:
    name = program()
    if name is not None:
        handler.program = name
        signal.signal(signal.SIGINT, handler)


def _raise_again(process: int) -> Any:
    def interrupt(number: int, frame: FrameType | None) -> None:
        if os.getpid() == process:  # not in a loader's worker, which ends with its parent
            signal.signal(signal.SIGALRM, interrupt)
            signal.setitimer(signal.ITIMER_REAL, _AGAIN, _AGAIN)
        raise KeyboardInterrupt

    return interrupt


def quiet_interrupts() -> None:
    """Ends fairseq's programs in one line where Ctrl-C is pressed."""
    name = program()
    if name is None or name == "fairseq-prune":  # which sees to it itself
        return
    _end_quietly(name)
    if name.removeprefix("fairseq-") not in _CALL_MAIN:
        work_begins()
        return
    distributed: Any = importlib.import_module("fairseq.distributed.utils")
    original = distributed.call_main

    @functools.wraps(original)
    def call_main(*args: Any, **kwargs: Any) -> Any:
        work_begins()
        return original(*args, **kwargs)

    distributed.call_main = call_main


def _end_quietly(name: str) -> None:
    original = sys.excepthook

    def excepthook(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> Any:
        if not isinstance(error, KeyboardInterrupt):
            return original(kind, error, trace)
        work_ends()
        print(f"{name}: interrupted.", file=sys.stderr)
        raise SystemExit(_INTERRUPTED)  # Python takes the exit code from it

    sys.excepthook = excepthook
