"""Checkpoints in and out, without running what is in them, and the masks they carry.

A checkpoint is an untrusted file: it is read with ``weights_only=True`` and the short list of
types that fairseq needs (``_fairseq_prune_compat.safe_types``, the same list under which fairseq
itself reads checkpoints once this package is installed). Before anything computes with it, it is
looked at: that it is a tree of plain values and not too large as one, that its tensors are ordinary
and no larger than the file, and that its entries are of the kinds that fairseq writes.
"""

import contextlib
import errno
import pickle
import re
import shlex
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from _fairseq_prune_compat.pickled import FREE, RATIO, Grows
from _fairseq_prune_compat.records import DAMAGE, check_records
from _fairseq_prune_compat.safe_types import safe_types
from _fairseq_prune_compat.values import values_of
from torch import Tensor

from fairseq_prune.checkpoints import kept_layers
from fairseq_prune.files import writing
from fairseq_prune.masks.state import Masks
from fairseq_prune.network.layers import is_layer

PRUNE_KEY = kept_layers.PRUNE_KEY
FORMAT = 1


class CheckpointError(ValueError):
    """A file that cannot be used, with the sentence that says why and what to do."""


def load(path: str | Path, whole: bool = True) -> dict[str, Any]:
    """The checkpoint at ``path``, its tensors mapped from the file rather than read.

    Args:
        whole: with the settings of the whole network, where the file has fairseq leave layers out
            that are gone (:mod:`fairseq_prune.checkpoints.kept_layers`).

    Raises CheckpointError for a file that is missing, truncated, no checkpoint, or needs a type
    outside the safe list.
    """
    where = Path(path)
    if not where.is_file():
        raise CheckpointError(no_file(where))
    if is_container(where):
        raise CheckpointError(
            f"{where} is no checkpoint; if it is a compact file, make one of it first: "
            f"fairseq-prune export {shlex.quote(str(where))} --format checkpoint --output OUT."
        )
    try:
        check_records(where)
        with torch.serialization.safe_globals(safe_types()):
            loaded = _torch_load(where)
    except Grows as error:
        raise CheckpointError(f"{where} is refused: it {error}.") from None
    except pickle.UnpicklingError as error:
        raise CheckpointError(_unpickling_sentence(where, str(error))) from None
    except (*DAMAGE, OSError) as error:
        # torch says more than one sentence of some
        first = re.split(r"\. |\n", str(error))[0] or type(error).__name__
        raise CheckpointError(
            f"{where} cannot be read: it is truncated or damaged ({first[:160]})."
        ) from None
    if not isinstance(loaded, dict) or not isinstance(loaded.get("model"), dict):
        raise CheckpointError(f"{where} is not a fairseq checkpoint: it has no `model` entry.")
    try:
        check_contents(loaded, where.stat().st_size)
    except ValueError as error:
        raise CheckpointError(f"{where} is no checkpoint of fairseq: it {error}.") from None
    return kept_layers.as_read(loaded) if whole else loaded


def no_file(path: str | Path) -> str:
    """The sentence of a path that is no file; of a run's folder, with the file to name."""
    best = Path(path) / "checkpoint_best.pt"
    more = f", such as {best}" if best.is_file() else ""
    return f"{path} is not a file; give the path of a fairseq checkpoint{more}."


def is_container(path: str | Path) -> bool:
    """Whether the file begins as a safetensors container, as compact files do."""
    try:
        with Path(path).open("rb") as file:
            return file.read(9)[8:] == b"{"
    except OSError:
        return False


def _torch_load(path: Path) -> Any:
    with path.open("rb") as file:
        is_zip = file.read(2) == b"PK"
    # files of torch < 1.6 are no zip archives and cannot be mapped
    return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)


def _unpickling_sentence(path: Path, message: str) -> str:
    found = re.search(r"(?:Unsupported (?:global|class)|GLOBAL)[: ]+(?:GLOBAL )?([\w.]+)", message)
    if found:
        return (
            f"{path} is refused: it needs {found.group(1)}, which a fairseq checkpoint has no use "
            "for and which could run code; get the file from somebody you trust and save it again."
        )
    return f"{path} is not a checkpoint, or it is damaged."


class _Counted:
    """A file that tells how many bytes it is given."""

    def __init__(self, file: BinaryIO, written: Callable[[int], None]) -> None:
        self._file, self._written = file, written

    def write(self, data: bytes) -> int:
        self._written(len(data))
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def save(
    checkpoint: Mapping[str, Any],
    path: str | Path,
    written: Callable[[int], None] | None = None,
    look: Callable[[str], None] = lambda _: None,
) -> None:
    """Write a checkpoint to ``path``, in one step.

    Args:
        written: called with the size of each piece, for a progress bar.
        look: called with the name of the whole file before it takes its place; may refuse it.

    Raises CheckpointError, with nothing left behind, where the disk is full or not writable.
    """
    with replacing(path, look) as file:
        target_file: Any = file if written is None else _Counted(file, written)
        torch.save(kept_layers.as_written(checkpoint), target_file)


@contextlib.contextmanager
def replacing(path: str | Path, look: Callable[[str], None] = lambda _: None) -> Iterator[BinaryIO]:
    """:func:`fairseq_prune.files.writing.replacing`, in a folder that is made if it is missing.

    Raises CheckpointError, with nothing left behind, where the disk is full or not writable.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with writing.replacing(target, look) as file:
            yield file
    except (OSError, RuntimeError) as error:
        # torch says so of a full disk
        full = isinstance(error, RuntimeError) or error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "no space is left on the disk" if full else str(error)
        raise CheckpointError(f"{target} could not be written: {why}.") from None


def prune_state(checkpoint: Mapping[str, Any]) -> dict[str, Any] | None:
    """What this package stored in the checkpoint, or None where it was never pruned."""
    state = (checkpoint.get("task_state") or {}).get(PRUNE_KEY)
    return state if isinstance(state, dict) else None


def masks_of(checkpoint: Mapping[str, Any], origin: str | Path) -> Masks | None:
    """The masks a checkpoint carries, or None; ``origin`` is named in errors.

    Raises CheckpointError where they are damaged or were written by a later format.
    """
    state = prune_state(checkpoint)
    return None if state is None else masks_in(state, origin)


def masks_in(state: Mapping[str, Any], origin: str | Path) -> Masks | None:
    """The masks in what this package stored; see :func:`masks_of`."""
    if state.get("masks") is None:
        return None
    check_format(state, origin)
    try:
        masks = Masks.unpack(state["masks"], str(origin))
    except ValueError as error:
        raise CheckpointError(str(error)) from None
    odd = next((name for name in masks.out if not is_layer(name)), None)
    if odd is not None:
        raise CheckpointError(f"The masks in {origin} leave out {odd[:40]!r}, which is no layer.")
    return masks


def check_format(state: Mapping[str, Any], origin: str | Path) -> None:
    """Raise CheckpointError where our entry was written by a version with another format."""
    if state.get("format") != FORMAT:
        raise CheckpointError(
            f"The masks in {origin} have format {state.get('format')!r}; this version of "
            f"fairseq_prune reads format {FORMAT}: install the version that wrote the file."
        )


def check_fits(masks: Masks, weights: Mapping[str, Tensor], origin: str | Path) -> None:
    """Raise CheckpointError unless every mask has a weight of its name and shape."""
    for name, mask in masks.items():
        if name not in weights:
            raise CheckpointError(
                f"The masks in {origin} are for another model: it has no weight {name}."
            )
        if tuple(weights[name].shape) != tuple(mask.shape):
            raise CheckpointError(
                f"The masks in {origin} are for another model: {name} is "
                f"{tuple(mask.shape)} there and {tuple(weights[name].shape)} here."
            )


_MAPPINGS = ("extra_state", "task_state", "last_optimizer_state", "model")
_SETTINGS = ("cfg", "args")


def check_contents(loaded: Any, size: int) -> None:
    """Raise ValueError, with the end of a sentence that begins with the file's name.

    Args:
        loaded: what torch read.
        size: of the file, in bytes.
    """
    tensors: dict[Any, int] = {}
    for value in values_of(loaded):
        if isinstance(value, Tensor):
            _check_ordinary(value)
            key = value.data_ptr(), tuple(value.shape), value.stride()
            tensors[key] = value.numel() * value.element_size()
        elif isinstance(value, dict) and set(getattr(value, "__dict__", ())) - {"_metadata"}:
            raise ValueError("has a dict with attributes of its own")
    claimed = sum(tensors.values())
    if claimed > max(FREE, RATIO * size):
        raise ValueError(f"has tensors of {claimed:,} bytes in a file of {size:,}")
    if isinstance(loaded, dict):
        _check_entries(loaded)


def _check_ordinary(tensor: Tensor) -> None:
    is_plain = type(tensor) in (Tensor, torch.nn.Parameter) and tensor.layout == torch.strided
    if not is_plain or tensor.device.type != "cpu" or tensor.is_quantized:
        raise ValueError("has a tensor that is no ordinary one")


def _check_entries(loaded: dict[Any, Any]) -> None:
    for key in _MAPPINGS:
        entry = loaded.get(key)
        if entry is not None and not isinstance(entry, Mapping):
            raise ValueError(f"has no dict as `{key}`")
    for key in _SETTINGS:
        entry = loaded.get(key)
        # some versions of fairseq stored omegaconf's objects
        known = isinstance(entry, Mapping | Namespace) or "omegaconf" in type(entry).__module__
        if entry is not None and not known:
            raise ValueError(f"has no settings as `{key}`")
    if not isinstance(loaded.get("optimizer_history", []), list | None):
        raise ValueError("has no list as `optimizer_history`")
    odd = next((name for name in loaded.get("model") or {} if not isinstance(name, str)), None)
    if odd is not None:
        raise ValueError(f"has a weight called {str(odd)[:40]}")
