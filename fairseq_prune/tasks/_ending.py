"""How fairseq's programs end: with one sentence where we refuse, in whatever process that was."""

import inspect
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import wraps
from types import TracebackType
from typing import Any

import torch.distributed as dist
from fairseq.distributed import utils as distributed
from torch.multiprocessing.spawn import ProcessRaisedException

from fairseq_prune.pruning.refusal import Refusal, what_to_send
from fairseq_prune.tasks._closing import say_what_is_left

REFUSED, FAILED = 2, 1
_RAISED = f"{Refusal.__module__}.{Refusal.__qualname__}: "
_PACKAGES = ("fairseq", "fairseq_cli", "fairseq_prune")


def register() -> None:
    """Let the function that starts fairseq's programs end them so; again changes nothing."""
    if not hasattr(distributed.call_main, "refuses"):
        distributed.call_main = _ending(distributed.call_main)
    generate: Any = sys.modules.get("fairseq_cli.generate")  # the one that starts without it
    if generate is not None and not hasattr(generate.main, "refuses"):
        generate.main = _ending(generate.main)


def _ending(start: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(start)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            result = start(*args, **kwargs)
            _part()
            if _trains(args):
                say_what_is_left(args[0])
            return result
        except Refusal as refusal:
            sentence = str(refusal)
        except ProcessRaisedException as error:  # of the processes that fairseq starts for GPUs
            last = str(error).rstrip().rpartition("\n")[2]
            if not last.startswith(_RAISED):
                raise
            sentence = last.removeprefix(_RAISED)
        except Exception as error:
            if not is_ours(error.__traceback__):
                raise
            traceback.print_exc()
            print(what_to_send(), file=sys.stderr)
            raise SystemExit(FAILED) from None
        print(sentence, file=sys.stderr)
        raise SystemExit(REFUSED)

    wrapped.refuses = True  # type: ignore[attr-defined]
    return wrapped


def _part() -> None:
    """Let this rank go from the others, which fairseq leaves to the end of the process."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def _trains(args: Sequence[Any]) -> bool:
    """Whether it was the first rank of a training that has come to its end."""
    if len(args) < 2 or not hasattr(inspect.unwrap(args[1]), "__globals__"):
        return False
    is_training = "validate_and_save" in inspect.unwrap(args[1]).__globals__
    return is_training and not args[0].distributed_training.distributed_rank


def is_ours(trace: TracebackType | None) -> bool:
    """Whether the last of fairseq's and our own functions in a traceback is our own."""
    package = ""
    while trace is not None:
        top = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        package = top if top in _PACKAGES else package
        trace = trace.tb_next
    return package == "fairseq_prune"
