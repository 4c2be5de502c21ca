"""Which states of a run its scores choose among: those at the sparsity that was asked for.

fairseq keeps checkpoint_best.pt and --keep-best-checkpoints by the validation score, ends a run by
it (--patience) and lowers the learning rate by it (reduce_lr_on_plateau). A model that is not
pruned yet, or less, scores better than the one that was asked for: by all four it would win.
"""

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

import torch

from fairseq_prune.checkpoints.newest import EARLIER
from fairseq_prune.checkpoints.record import read_record
from fairseq_prune.checkpoints.storage import CheckpointError, load
from fairseq_prune.maths.schedule import reached_at
from fairseq_prune.tasks._stopping import loops

logger = logging.getLogger("fairseq_prune")

BEST = ("checkpoint_best*.pt", "checkpoint.best_*.pt")  # of --keep-best-checkpoints


def count_scores() -> None:
    """Let fairseq's training loop choose so; again changes nothing."""
    for loop in loops():
        if not hasattr(loop.validate, "counts"):
            loop.validate = _counting(loop.validate)


def _counting(validate: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(validate)
    def wrapped(cfg: Any, trainer: Any, task: Any, *rest: Any) -> Any:
        scores = validate(cfg, trainer, task, *rest)
        session = getattr(task, "session", None)
        if session is None or session.record.is_final:
            return scores
        if not hasattr(session, "waits"):
            session.waits = True
            logger.info(
                "scores count from the update on at which the sparsity is reached (%d): until then "
                "no checkpoint_best.pt is written, and --patience does not count",
                reached_at(session.recipe.timetable()),
            )
        return [None for _ in scores]  # what fairseq has where it did not validate

    wrapped.counts = True  # type: ignore[attr-defined]
    return wrapped


def start_anew(trainer: Any) -> None:
    """Forget the scores so far: those of a model at another sparsity.

    Args:
        trainer: fairseq's, or None before its loop has begun.
    """
    # not at the top: other commands of fairseq have no trainer
    from fairseq import checkpoint_utils

    vars(checkpoint_utils.save_checkpoint).pop("best", None)
    for loop in loops():
        for name in ("best", "num_runs"):
            vars(loop.should_stop_early).pop(name, None)
    schedule = None if trainer is None else trainer.lr_scheduler
    plateau = getattr(schedule, "lr_scheduler", None)
    if isinstance(plateau, torch.optim.lr_scheduler.ReduceLROnPlateau):
        plateau._reset()


def set_aside(folder: str, settings: Mapping[str, Any]) -> None:
    """Rename the best checkpoints in a run's folder that are not at the sparsity of this run.

    Their scores would win against those to come, and their names promise what they are not.

    Args:
        settings: of the run's recipe.
    """
    for path in _best_in(Path(folder)):
        if _is_of(path, settings):
            continue  # of this very run, which was killed after it was saved
        target = path.with_name(EARLIER + path.name)
        number = 1
        while target.exists():
            number += 1
            target = path.with_name(f"{EARLIER}{number}.{path.name}")
        os.replace(path, target)
        logger.warning(
            "%s is of another sparsity than what comes now: renamed %s", path, target.name
        )


def _best_in(folder: Path) -> Iterable[Path]:
    return sorted(path for pattern in BEST for path in folder.glob(pattern))


def _is_of(path: Path, settings: Mapping[str, Any]) -> bool:
    try:
        record = read_record(load(path), str(path))
    except CheckpointError:
        return False
    return record is not None and record.is_final and record.recipe.settings == dict(settings)
