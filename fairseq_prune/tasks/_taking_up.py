"""What a run takes up of a checkpoint: a damaged one ends it with a sentence, before any update.

fairseq gives what the file says to model, optimizer and iterators as it is, and fails
somewhere within, or goes on: for ever where the number of updates is far below zero.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from traceback import walk_tb
from typing import Any

import torch
from _fairseq_prune_compat.loading import CheckpointRefused, CheckpointUnreadable

from fairseq_prune.pruning.refusal import Refusal, reason_of

_LARGEST = 1 << 53  # of updates, epochs and batches
# what is no fault of the file: of the disk, of the device, of a loss scale
_OTHERS = (Refusal, OSError, torch.OutOfMemoryError, OverflowError, FloatingPointError)


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


def _reason(error: Exception) -> str:
    # fairseq says "cannot load model parameters" in the place of torch's list of names
    cause = error.__context__ if type(error) is Exception and error.__context__ else error
    return f"{type(cause).__name__}: {reason_of(cause)}" if str(cause) else type(cause).__name__
