"""A copy of a run's state after K updates, taken beside what fairseq saves.

fairseq's own ``--save-interval-updates`` would not do: it validates at each save, which can change
early stopping and the best checkpoint, saves at every multiple, and never before the first update.
So two functions of fairseq's training loop are wrapped; without the flag they are left alone.
"""

import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from fairseq_prune.checkpoints.tickets import PARAMETERS
from fairseq_prune.tasks._optimizer import trained_parameters


def keep_update(task: Any, update: int) -> None:
    """Make training of ``task`` save its state after ``update`` updates (0: before the first).

    The file is ``checkpoint_update_N.pt`` in the run's folder: a checkpoint like any other, and
    what its optimizer numbers. The training itself is what it would be without.
    """
    # not at the top: this module sets up logging, which is not for other commands of fairseq
    from fairseq_cli import train as command

    task.keep_update = update
    # python -m fairseq_cli.train has the same functions once more
    modules: list[Any] = [command, sys.modules["__main__"]]
    for module in modules:
        loop = getattr(module, "validate_and_save", None)
        if loop is not None and not hasattr(loop, "keeps"):
            module.train = _before(module.train)
            module.validate_and_save = _after(loop)


def _before(train: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(train)
    def wrapped(cfg: Any, trainer: Any, task: Any, epoch_itr: Any) -> Any:
        if getattr(task, "keep_update", None) == 0 == trainer.get_num_updates():
            # the iterator cannot tell before it has begun
            task.begin_training(trainer.get_model())
            start = {"version": 2, "epoch": epoch_itr.next_epoch_idx, "iterations_in_epoch": 0}
            _save(cfg, trainer, task, {**start, "shuffle": True})
        return train(cfg, trainer, task, epoch_itr)

    return wrapped


def _after(validate_and_save: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(validate_and_save)
    def wrapped(cfg: Any, trainer: Any, task: Any, epoch_itr: Any, *rest: Any) -> Any:
        update = getattr(task, "keep_update", None)
        if update and update == trainer.get_num_updates():
            _save(cfg, trainer, task, epoch_itr.state_dict())
        return validate_and_save(cfg, trainer, task, epoch_itr, *rest)

    wrapped.keeps = True  # type: ignore[attr-defined]
    return wrapped


def _save(cfg: Any, trainer: Any, task: Any, position: dict[str, Any]) -> None:
    """Save as fairseq does, on every rank that does."""
    name = f"checkpoint_update_{task.keep_update}{trainer.checkpoint_suffix}.pt"
    task.keep_update = None  # once: an update that overflows is seen again
    parameters = [list(pair) for pair in trained_parameters(trainer.get_model())]
    more = {"train_iterator": position, "val_loss": None, PARAMETERS: parameters}
    trainer.consolidate_optimizer()
    if trainer.should_save_checkpoint_on_current_rank:
        trainer.save_checkpoint(os.path.join(cfg.checkpoint.save_dir, name), more)
