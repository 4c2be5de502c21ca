"""What a run takes up of a checkpoint: a damaged one ends it with a sentence, before any update.

fairseq gives what the file says to model, optimizer and iterators as it is, and fails
somewhere within, or goes on: for ever where the number of updates is far below zero.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from traceback import walk_tb
from typing import Any

import torch
from _fairseq_prune_compat.loading import CheckpointRefused, CheckpointUnreadable
from fairseq.optim.lr_scheduler import FairseqLRScheduler

from fairseq_prune.checkpoints import storage
from fairseq_prune.pruning.refusal import Refusal, reason_of

_LARGEST = 1 << 53  # of updates, epochs and batches
# what is no fault of the file: of the disk, of the device, of a loss scale
_OTHERS = (
    *(Refusal, OSError, torch.OutOfMemoryError, OverflowError, FloatingPointError),
    *(ImportError, NotImplementedError),  # of what the flags need and this machine lacks
)
_DIFFERS = re.compile(r"(Optimizer|Criterion) does not match; .*\. (\S+) vs (\S+)")  # fairseq's


def watch_loading() -> None:
    """Let fairseq's trainer end so; again changes nothing."""
    # not at the top: other commands of fairseq have no trainer
    from fairseq.trainer import Trainer

    if not hasattr(Trainer.load_checkpoint, "watched"):
        Trainer.load_checkpoint = _watched(Trainer.load_checkpoint)


def _watched(load_checkpoint: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(load_checkpoint)
    def wrapped(trainer: Any, filename: str, *args: Any, **kwargs: Any) -> Any:
        with taking_up(filename):
            extra_state = load_checkpoint(trainer, filename, *args, **kwargs)
            check_place(trainer.get_num_updates(), extra_state, _begins(trainer, filename))
            _check_optimizer(trainer)
        return extra_state

    wrapped.watched = True  # type: ignore[attr-defined]
    return wrapped


@contextmanager
def taking_up(path: str | None) -> Iterator[None]:
    """Makes what a damaged file leads to a Refusal that names it; None for no file."""
    try:
        yield
    except _OTHERS:
        raise
    except (CheckpointRefused, CheckpointUnreadable) as error:
        raise Refusal(str(error)) from None
    except Exception as error:
        if path is None or _is_of_the_flags(error):
            raise
        differs = _differing(path, error)
        if differs is not None:
            raise Refusal(f"{path} was trained with {differs}.") from None
        raise Refusal(
            f"{path} cannot be taken up ({_reason(error)}): it is damaged, or of another model or "
            "optimizer; give the flags that it was trained with, another checkpoint, or "
            "--reset-optimizer where its weights alone are wanted."
        ) from None


def _is_of_the_flags(error: Exception) -> bool:
    """Whether it is no fault of the file's: fairseq's trainer builds its optimizer as it loads."""
    return any(
        frame.f_code.co_name == "_build_optimizer" for frame, _ in walk_tb(error.__traceback__)
    )


def _differing(path: str, error: Exception) -> str | None:
    """What the flags ask for that the file was trained without, or None where they agree."""
    found = _DIFFERS.fullmatch(str(error))
    if found is not None:
        what, there, here = found.groups()
        return (
            f"the {what.lower()} {there[:40]}, and these flags give {here}: repeat its flags, or "
            "give --reset-optimizer where its weights alone are wanted"
        )
    for frame, _ in walk_tb(error.__traceback__):
        scheduler = frame.f_locals.get("self")
        if isinstance(scheduler, FairseqLRScheduler):
            there, here = _scheduler_in(path), str(getattr(scheduler.cfg, "_name", None))
            if there is not None and there != here:
                return (
                    f"--lr-scheduler {there[:40]}, and these flags give {here}: repeat its flags, "
                    "or give --reset-lr-scheduler"
                )
    return None


def _scheduler_in(path: str) -> str | None:
    """The name of the learning rate's schedule in a file that could be opened."""
    settings: Any = storage.load(path).get("cfg")
    for key in ("lr_scheduler", "_name"):
        settings = settings.get(key) if isinstance(settings, Mapping) else None
    return settings if isinstance(settings, str) else None


def _begins(trainer: Any, path: str) -> bool:
    """Whether the data begin anew, so that the file need not say a place in them."""
    settings = trainer.cfg.checkpoint
    return settings.reset_dataloader or path == settings.finetune_from_model


def check_place(updates: Any, extra_state: Any, begins: bool) -> None:
    """Raise ValueError where a file says no place in a training, and training goes on there."""
    place = {} if extra_state is None or begins else extra_state["train_iterator"]
    counts = {"epoch": (place.get("epoch", 1), 1), "num_updates": (updates, 0)}
    counts["iterations_in_epoch"] = place.get("iterations_in_epoch", 0), 0
    for name, (value, least) in counts.items():
        if type(value) is not int or not least <= value < _LARGEST:
            raise ValueError(f"its {name} is {str(value)[:40]!r}")


def _check_optimizer(trainer: Any) -> None:
    """Raise ValueError where the optimizer has no numbers to go on with."""
    if trainer._optimizer is None:  # it is built when it is asked for
        return
    rate = trainer.get_lr()
    if isinstance(rate, str | Sequence | Mapping) or not math.isfinite(rate):
        raise ValueError(f"its learning rate is {str(rate)[:40]!r}")
    optimizer = getattr(trainer.optimizer, "optimizer", None)
    for state in getattr(optimizer, "state", {}).values():
        for name, value in state.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"its optimizer's {name} is {value}")


def _reason(error: Exception) -> str:
    # fairseq says "cannot load model parameters" in the place of torch's list of names
    cause = error.__context__ if type(error) is Exception and error.__context__ else error
    return f"{type(cause).__name__}: {reason_of(cause)}" if str(cause) else type(cause).__name__
