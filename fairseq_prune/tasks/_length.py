"""Whether a run is long enough for its schedule: said before the first update."""

import logging
import math
from typing import Any

from fairseq.data.iterators import EpochBatchIterator

from fairseq_prune.maths.schedule import Threshold, reached_at
from fairseq_prune.pruning.recipe import Recipe

logger = logging.getLogger("fairseq_prune")


def check_length(recipe: Recipe, end: float) -> None:
    """Say in the log that the run will end before its schedule does.

    Args:
        end: the number of updates at which it ends, at the latest; infinite where that is open.

    Raises ValueError where it would end before anything is pruned.
    """
    check_begins(recipe, end)
    if recipe.scheme is None or reached_at(recipe.timetable()) <= end:
        return
    timetable = recipe.timetable()
    steps = range(int(end), timetable.start - 1, -1)
    share = timetable.sparsity(next(filter(timetable.due, steps)))
    at_most = "at most " if isinstance(timetable, Threshold) else ""
    logger.warning(
        "this run ends at update %d, before --prune-end %d: %s%.2f%% will be removed, not the "
        "%.2f%% asked, and no checkpoint_best.pt is written; train longer, or give an earlier "
        "--prune-end",
        end, reached_at(timetable), at_most, 100 * share, 100 * timetable.sparsity(timetable.last),
    )  # fmt: skip


def check_begins(recipe: Recipe, end: float) -> None:
    """Raises ValueError where a run of ``end`` updates would end before anything is pruned."""
    if recipe.scheme is not None and recipe.timetable().start > end:
        raise ValueError(
            f"--prune-start {recipe.timetable().start} lies beyond the end of the run, update "
            f"{int(end)}: nothing would be pruned. Give an earlier one, or train longer "
            "(--max-update, --max-epoch)."
        )


def most_updates(optimization: Any) -> float:
    """--max-update; infinite where it is not given."""
    return optimization.max_update or math.inf


def last_update(cfg: Any, trainer: Any, iterator: Any) -> float:
    """The number of updates at which a run will end, at the latest; infinite where that is open.

    Args:
        cfg: fairseq's whole configuration.
        iterator: over the epochs, before this process has begun one.
    """
    most, epochs = most_updates(cfg.optimization), cfg.optimization.max_epoch
    # of shards, and of data that are streamed, an epoch does not tell the length of the next
    if not epochs or type(iterator) is not EpochBatchIterator or _has_shards(trainer):
        return most
    updates, done = trainer.get_num_updates(), iterator.iterations_in_epoch
    for epoch in range(iterator.next_epoch_idx, epochs + 1):
        updates += _updates_of(len(iterator) - done, epoch, cfg.optimization)
        done = 0
    return min(most, updates)


def _has_shards(trainer: Any) -> bool:
    return bool(trainer.task.has_sharded_data("train"))


def _updates_of(batches: int, epoch: int, optimization: Any) -> int:
    """How many updates an epoch makes of so many batches of a rank."""
    every = optimization.update_freq
    every = every[min(epoch, len(every)) - 1]
    return batches // every if optimization.skip_remainder_batch else -(-batches // every)
