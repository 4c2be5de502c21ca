"""Folders of trainings that were cut: what fairseq-train would not put right by itself."""

import os
import shutil
from pathlib import Path

from fairseq_prune.checkpoints.storage import CheckpointError, load
from fairseq_prune.checkpoints.tickets import is_over

LAST, BEST = "checkpoint_last.pt", "checkpoint_best.pt"


def is_trained(folder: Path, result: str = LAST) -> bool:
    """Whether a training has reached its end; if not, fairseq-train can go on in the folder.

    fairseq writes checkpoint_best.pt and copies it to checkpoint_last.pt: a copy that was cut is
    made again, or removed where there is nothing to copy. A training that is over, and whose
    ``result`` is gone, begins anew.

    Args:
        folder: the training's --save-dir.
        result: the file that is wanted of it.
    """
    last, best = folder / LAST, folder / BEST
    if not last.is_file():
        return False
    try:
        over = is_over(load(last))
    except CheckpointError:
        last.unlink()
        if not _is_whole(best):
            return False
        copy = folder / f".{LAST}"
        shutil.copyfile(best, copy)
        os.replace(copy, last)
        over = is_over(load(last))
    if over and not (folder / result).is_file():
        last.unlink()
        return False
    return over


def _is_whole(path: Path) -> bool:
    try:
        load(path)
    except CheckpointError:
        return False
    return True
