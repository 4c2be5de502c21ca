"""When a run is over, in spite of a cut: what fairseq forgets of it.

A run that is killed after its last save, and started again, would do one update more than the
undisturbed one, and --patience would count from none again.
"""

import logging
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

logger = logging.getLogger("fairseq_prune")

_KEY = "patience"  # in a checkpoint's extra_state: the best score, and validations since


def keep_stopping() -> None:
    """Let fairseq's training loop stop so; again changes nothing."""
    # not at the top: other commands of fairseq have no trainer
    from fairseq.trainer import Trainer

    for loop in loops():
        if not hasattr(loop.train, "stops"):
            loop.train = _stopping(loop.train, loop.should_stop_early)
    if not hasattr(Trainer.save_checkpoint, "counts"):
        Trainer.save_checkpoint = _saving(Trainer.save_checkpoint)
        Trainer.load_checkpoint = _loading(Trainer.load_checkpoint)


def loops() -> list[Any]:
    """The modules that hold fairseq's training loop."""
    # python -m fairseq_cli.train has the same functions once more, and uses those
    modules = (sys.modules["__main__"], sys.modules.get("fairseq_cli.train"))
    return [module for module in modules if hasattr(module, "should_stop_early")]


def _stopping(train: Callable[..., Any], counter: Any) -> Callable[..., Any]:
    @wraps(train)
    def wrapped(cfg: Any, trainer: Any, task: Any, epoch_itr: Any) -> Any:
        updates, most = trainer.get_num_updates(), cfg.optimization.max_update
        runs, patience = getattr(counter, "num_runs", 0), cfg.checkpoint.patience
        if 0 < most <= updates:
            logger.info("nothing is left to train: %d updates, --max-update %d", updates, most)
        elif 0 < patience <= runs:
            logger.info("nothing is left to train: no better for --patience %d", patience)
        else:
            if hasattr(task, "begin_loop"):
                task.begin_loop(cfg, trainer, epoch_itr)
            return train(cfg, trainer, task, epoch_itr)
        return [None], True

    wrapped.stops = True  # type: ignore[attr-defined]
    return wrapped


def _saving(save: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(save)
    def wrapped(trainer: Any, filename: str, extra_state: dict[str, Any]) -> Any:
        counter: Any = next((loop.should_stop_early for loop in loops()), None)
        if trainer.cfg.checkpoint.patience > 0 and hasattr(counter, "num_runs"):
            counted = {"best": counter.best, "num_runs": counter.num_runs}
            extra_state = {**extra_state, _KEY: counted}
        return save(trainer, filename, extra_state)

    wrapped.counts = True  # type: ignore[attr-defined]
    return wrapped


def _loading(load: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(load)
    def wrapped(
        trainer: Any,
        filename: str,
        reset_optimizer: bool = False,
        reset_lr_scheduler: bool = False,
        optimizer_overrides: Any = None,
        reset_meters: bool = False,
    ) -> Any:
        resets = reset_optimizer, reset_lr_scheduler, optimizer_overrides
        extra_state = load(trainer, filename, *resets, reset_meters=reset_meters)
        counted = (extra_state or {}).get(_KEY)
        # as for the best score, which fairseq itself restores
        if counted is not None and not reset_optimizer and not reset_meters:
            for loop in loops():
                loop.should_stop_early.best = float(counted["best"])
                loop.should_stop_early.num_runs = int(counted["num_runs"])
        return extra_state

    return wrapped
