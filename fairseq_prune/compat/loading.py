"""``torch.load`` for checkpoints of fairseq: nothing in the file can run code."""

import errno
import os
import pickle
import re
import threading
import warnings
from typing import Any

from _fairseq_prune_compat.pickled import Grows
from _fairseq_prune_compat.records import DAMAGE, check_records
from _fairseq_prune_compat.safe_types import safe_types
from _fairseq_prune_compat.values import values_of

TRUST = "FAIRSEQ_PRUNE_TRUST_CHECKPOINTS"

_REFUSED = re.compile(r"GLOBAL (\S+)|got <class '([^']+)'>|unrecognized function (.+?)(?: which|$)")
# torch keeps its allow-list in one global: a second thread must not empty it under the first
_allowing = threading.RLock()


class CheckpointRefused(pickle.UnpicklingError):
    """A checkpoint holds a class that is not on the allow-list; nothing of it was run."""


class CheckpointUnreadable(RuntimeError):
    """A file is not a checkpoint, or only a part of one."""


def safe_load(file: Any, *args: Any, **options: Any) -> Any:
    """Returns what ``torch.load`` returns, read with ``weights_only=True`` and our allow-list.

    Args:
        file: a path or a binary file; the other arguments are those of ``torch.load``. A caller's
            own ``weights_only`` is respected.

    Raises:
        CheckpointRefused: the file holds another class, or would take more memory than its size
            says; FAIRSEQ_PRUNE_TRUST_CHECKPOINTS=1 in the environment loads it nevertheless, with a
            warning.
        CheckpointUnreadable: the file is truncated, or no checkpoint.
    """
    import torch

    if "weights_only" in options:
        return torch.load(file, *args, **options)
    name = _name(file)
    if os.environ.get(TRUST) == "1":
        warnings.warn(f"{TRUST}=1: {name} is loaded unchecked and may run code.", stacklevel=2)
        return torch.load(file, *args, weights_only=False, **options)
    try:
        check_records(file)
        with _allowing, torch.serialization.safe_globals(_additions()):
            loaded = torch.load(file, *args, weights_only=True, **options)
        for _ in values_of(loaded):
            pass
        return loaded
    except (Grows, pickle.UnpicklingError, OSError, *DAMAGE) as error:
        refusal = _refusal(name, error)
        if refusal is None:
            raise
        raise refusal from None


def _refusal(name: str, error: Exception) -> Exception | None:
    """What to say of a file that led to an error; None where it is not the file's fault."""
    if isinstance(error, Grows):
        return CheckpointRefused(
            f"{name} {error}; if you trust whoever made the file, set {TRUST}=1."
        )
    culprit = _culprit(error) if isinstance(error, pickle.UnpicklingError) else None
    if culprit is not None:
        return CheckpointRefused(
            f"{name} holds {culprit}, which is not among the classes that a checkpoint may hold; "
            f"if you trust whoever made the file, set {TRUST}=1."
        )
    # a sound file for another device; a disk that fails, other than by a wrong number in the file
    device = "Attempting to deserialize object on" in str(error)
    if device or isinstance(error, OSError) and error.errno != errno.EINVAL:
        return None
    return _unreadable(name, error)


def _additions() -> list[Any]:
    """Returns the allow-list without what the program itself allowed.

    torch's context manager would take that away on leaving.
    """
    import torch

    present = torch.serialization.get_safe_globals()
    return [entry for entry in safe_types() if entry not in present]


def _culprit(error: pickle.UnpicklingError) -> str | None:
    match = _REFUSED.search(str(error))
    return next(filter(None, match.groups())) if match else None


def _unreadable(name: str, error: Exception) -> CheckpointUnreadable:
    detail = ": ".join(filter(None, (type(error).__name__, str(error).partition(". ")[0])))
    return CheckpointUnreadable(
        f"{name} is not a checkpoint that can be read, it is truncated or was written by another "
        f"program ({detail})."
    )


def _name(file: Any) -> str:
    if isinstance(file, (str, os.PathLike)):
        return str(os.fspath(file))
    return str(getattr(file, "name", "the checkpoint in memory"))
