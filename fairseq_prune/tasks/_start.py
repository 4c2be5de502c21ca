"""Which checkpoint a training run starts from, by fairseq's own rules.

The trainer saves ``task_state`` but does not hand it back when training resumes, so the task reads
the file again. The rules are those of fairseq.checkpoint_utils.load_checkpoint.
"""

import os
import re
from dataclasses import dataclass, replace
from typing import Any

from fairseq_prune.checkpoints import storage
from fairseq_prune.checkpoints.record import Record, read_record
from fairseq_prune.checkpoints.steps import TRAINED, read_steps
from fairseq_prune.files.writing import file_digest
from fairseq_prune.pruning.penalty_flags import penalty_differences
from fairseq_prune.pruning.recipe import Recipe, differences

DEFAULT = "checkpoint_last.pt"
_SAVED = re.compile(r"checkpoint(_best|_last|\d+|\.best_.*)[^.]*\.pt")  # what fairseq writes


@dataclass(frozen=True)
class Start:
    """Where training starts.

    Args:
        path: the checkpoint, or None for a fresh model.
        resumes: whether the same run goes on (optimizer kept), rather than a new one that starts
            from trained weights.
        by_rank: whether each rank reads its own file, not rank 0 for all.
        unasked: whether the file is what a run left in --save-dir, and no flag names it.
    """

    path: str | None
    resumes: bool
    by_rank: bool = False
    unasked: bool = False


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
        return Start(last, resumes, unasked=True)
    once = getattr(checkpoint, "continue_once", None)
    if once is not None:
        return Start(once if os.path.isfile(once) else None, resumes)
    dense = getattr(checkpoint, "finetune_from_model", None)
    return Start(dense if dense and os.path.isfile(dense) else None, False)


def check_same_flags(
    record: Record, start: Start, recipe: Recipe, penalty: Any, override: bool
) -> bool:
    """Whether the flags differ from those of a file.

    Args:
        record: what the file says of its pruning.
        penalty: the settings of the criterion's penalty, or None.
        override: --prune-override.

    Raises ValueError where a run should go on unchanged.
    """
    changed = differences(recipe.settings, record.recipe.settings)
    changed += penalty_differences(penalty, record.penalty)
    # a run without prune flags that retrains a pruned model goes on when it is run again
    inherits = not recipe.active and record.recipe.scheme is None
    if changed and start.resumes and not override and not inherits:
        raise ValueError(
            f"{start.path} was pruned with other flags: {'; '.join(changed)}. Repeat the "
            "file's flags to go on with that run, or give --prune-override to go on with these."
        )
    return bool(changed)


def check_pruned(start: Start, checkpoint: Any) -> None:
    """Refuse that prune flags go on with a run without pruning, which no flag asks for.

    fairseq goes on with whatever lies in --save-dir, and passes over --finetune-from-model.

    Args:
        start: of a run with prune flags.
        checkpoint: the ``checkpoint`` group of fairseq's configuration.

    Raises ValueError where checkpoint_last.pt was never pruned.
    """
    if not (start.unasked and start.resumes) or record_at(start) is not None:
        return
    best = os.path.join(checkpoint.save_dir, "checkpoint_best.pt")
    dense = getattr(checkpoint, "finetune_from_model", None) or (
        best if os.path.isfile(best) else start.path
    )
    raise ValueError(
        f"--save-dir {checkpoint.save_dir} has a run without pruning ({start.path}), which fairseq "
        "would go on with. To prune a trained model and retrain it, give the new run a folder of "
        f"its own: --save-dir ANOTHER --finetune-from-model {dense}. To prune that very run where "
        f"it stands, name it: --restore-file {start.path}."
    )


def check_same_model(start: Start, checkpoint: Any) -> None:
    """Refuse to go on with a run that began with another model than the one that is given.

    Args:
        checkpoint: the ``checkpoint`` group of fairseq's configuration.

    Raises ValueError, or CheckpointError where what the run says of itself is damaged.
    """
    given = getattr(checkpoint, "finetune_from_model", None)
    if start.path is None or not (start.unasked and given and os.path.isfile(given)):
        return
    steps = read_steps(storage.load(start.path), start.path)
    began_with = steps[-1] if steps and steps[-1].kind == TRAINED else None
    if began_with is None or began_with.source in (None, file_digest(given)):
        return
    raise ValueError(
        f"--save-dir {checkpoint.save_dir} has a run ({start.path}) that began with another model "
        f"({began_with.file}, as it was then) than --finetune-from-model {given}, which fairseq "
        "would pass over: give the new run another --save-dir, or go on with that run by leaving "
        "--finetune-from-model out."
    )


def check_source(start: Start, checkpoint: Any) -> None:
    """Raises ValueError where a run would write its checkpoints over the model it begins with."""
    if start.path is None or start.resumes:
        return
    folder = os.path.realpath(checkpoint.save_dir)
    source = os.path.realpath(start.path)
    if os.path.dirname(source) == folder and _SAVED.fullmatch(os.path.basename(source)):
        raise ValueError(
            f"{start.path} lies in --save-dir {checkpoint.save_dir}, where this run would write "
            "over it: give another --save-dir."
        )


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


def record_at(start: Start) -> Record | None:
    """What the file of a start says of its pruning; None where there is none.

    Raises CheckpointError where it is damaged, or of a later format.
    """
    if start.path is None:
        return None
    return read_record(storage.load(start.path), start.path)


def warm_start(model: Any) -> None:
    """Give a fresh model the weights that its own settings say it begins with, if any.

    Raises ValueError where they do not fit.
    """
    begin = getattr(model, "warm_start", None)
    if begin is not None:
        begin()
