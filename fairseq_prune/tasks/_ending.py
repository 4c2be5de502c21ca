"""How fairseq's programs end: with one sentence where we refuse, or with what a run has left."""

import inspect
import logging
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any

import torch.distributed as dist
from fairseq.distributed import utils as distributed
from torch.multiprocessing.spawn import ProcessRaisedException

from fairseq_prune.checkpoints.record import Record, read_record
from fairseq_prune.checkpoints.storage import CheckpointError, load
from fairseq_prune.pruning.refusal import Refusal, what_to_send

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


logger = logging.getLogger("fairseq_prune")

_NONE = "0.00% (not pruned)"


def say_what_is_left(cfg: Any) -> None:
    """Log it, as the last line of a run that prunes or holds masks; each file is opened for it.

    Args:
        cfg: fairseq's whole configuration, after the training.
    """
    folder = Path(cfg.checkpoint.save_dir)
    last = _read(folder / f"checkpoint_last{cfg.checkpoint.checkpoint_suffix}.pt")
    if not isinstance(last, Record):
        return
    if not last.is_final:
        _say_unfinished(last)
    logger.info(
        "removed: %s", "; ".join(f"{k}: {', '.join(v)}" for k, v in _shares(folder).items())
    )


def _shares(folder: Path) -> Mapping[str, list[str]]:
    """The names of the checkpoints in a folder, by what is removed of them."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.glob("checkpoint*.pt")):
        record = _read(path)
        share = str(record) if isinstance(record, CheckpointError) else _share(record)
        found.setdefault(share, []).append(path.name)
    return found


def _read(path: Path) -> Record | CheckpointError | None:
    try:
        return read_record(load(path), path.name)
    except CheckpointError as error:
        return error


def _share(record: Record | None) -> str:
    masks = None if record is None else record.masks
    if masks is None:
        return _NONE
    removed, prunable = masks.removed_in_all(), masks.prunable_in_all()
    return f"{removed / max(prunable, 1):.2%} ({removed:,} of {prunable:,} prunable weights)"


def _say_unfinished(record: Record) -> None:
    timetable = record.recipe.timetable()
    logger.warning(
        "the run has ended before its pruning: %s removed, not %.2f%%, which the schedule has at "
        "update %d. No checkpoint_best.pt was written. The same command with a later end "
        "(--max-update, --max-epoch) goes on.",
        _share(record), 100 * timetable.sparsity(timetable.last), timetable.last,
    )  # fmt: skip
