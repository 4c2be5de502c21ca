"""Which checkpoint a training run starts from, by fairseq's own rules.

The trainer saves ``task_state`` but does not hand it back when training resumes, so the task reads
the file again. The rules are those of fairseq.checkpoint_utils.load_checkpoint.
"""

import os
from dataclasses import dataclass, replace
from typing import Any

from fairseq_prune.masks import storage
from fairseq_prune.pruning.record import read_record

DEFAULT = "checkpoint_last.pt"


@dataclass(frozen=True)
class Start:
    """Where training starts.

    Args:
        path: the checkpoint, or None for a fresh model.
        resumes: whether the same run goes on (optimizer kept), rather than a new one that starts
            from trained weights.
        by_rank: whether each rank reads its own file, not rank 0 for all.
    """

    path: str | None
    resumes: bool
    by_rank: bool = False


def start_of(checkpoint: Any) -> Start:
    """The start that fairseq will take, from the ``checkpoint`` group of its configuration."""
    by_rank = bool(getattr(checkpoint, "load_checkpoint_on_all_dp_ranks", False))
    return replace(_start_of(checkpoint), by_rank=by_rank)


def _start_of(checkpoint: Any) -> Start:
    suffix = getattr(checkpoint, "checkpoint_suffix", None) or ""
    resumes = not getattr(checkpoint, "reset_optimizer", False)
    if checkpoint.restore_file != DEFAULT:
        path = checkpoint.restore_file.replace(".pt", suffix + ".pt")
        return Start(path if os.path.isfile(path) else None, resumes)
    last = os.path.join(checkpoint.save_dir, f"checkpoint_last{suffix}.pt")
    if os.path.isfile(last):
        return Start(last, resumes)
    once = getattr(checkpoint, "continue_once", None)
    if once is not None:
        return Start(once if os.path.isfile(once) else None, resumes)
    dense = getattr(checkpoint, "finetune_from_model", None)
    return Start(dense if dense and os.path.isfile(dense) else None, False)


def check_saves(checkpoint: Any) -> None:
    """Raise ValueError where a run that is cut would find nothing to go on from.

    Args:
        checkpoint: the ``checkpoint`` group of fairseq's configuration.
    """
    if getattr(checkpoint, "write_checkpoints_asynchronously", False):
        raise ValueError(
            "--write-checkpoints-asynchronously leaves no checkpoint_last.pt to go on from, as "
            "fairseq copies none then, and half files where a run is killed; leave it out."
        )


def stored_in(start: Start) -> dict[str, Any] | None:
    """What the file of a start says of its pruning; None where there is none.

    Raises CheckpointError where it is damaged, or of a later format.
    """
    if start.path is None:
        return None
    checkpoint = storage.load(start.path)
    read_record(checkpoint, start.path)
    return storage.prune_state(checkpoint)


def warm_start(model: Any) -> None:
    """Give a fresh model the weights that its own settings say it begins with, if any.

    Raises ValueError where they do not fit.
    """
    begin = getattr(model, "warm_start", None)
    if begin is not None:
        begin()
