"""What a run has left: for each checkpoint of its folder, how much of the model is removed."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fairseq_prune.checkpoints.record import Record, read_record
from fairseq_prune.checkpoints.storage import CheckpointError, load

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
