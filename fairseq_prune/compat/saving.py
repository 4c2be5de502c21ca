"""Checkpoints that fairseq writes: whole or not at all, and a sentence where that fails."""

import contextlib
import errno
import functools
import importlib
import logging
import os
import shutil
from collections.abc import Callable
from typing import Any, BinaryIO

_TRIES = 3  # as many as fairseq makes
_FULL = (errno.ENOSPC, errno.EDQUOT)

logger = logging.getLogger(__name__)


def whole_saves() -> None:
    """Begins a save that failed anew, and ends the run where it fails again.

    fairseq makes its second try in the same file, behind the bytes of the first: where that works,
    a file that nobody can read takes the place of a good one. What it finally says names neither
    the file nor the reason.
    """
    checkpoints: Any = importlib.import_module("fairseq.checkpoint_utils")
    original, paths = checkpoints.torch_persistent_save, checkpoints.PathManager

    @functools.wraps(original)
    def torch_persistent_save(obj: Any, filename: str, async_write: bool = False) -> None:
        if async_write or not paths.supports_rename(filename):
            return original(obj, filename, async_write)
        return _save(filename, lambda file: checkpoints.torch.save(obj, file))

    checkpoints.torch_persistent_save = torch_persistent_save


def whole_copies() -> None:
    """Makes ``checkpoint_last.pt`` appear whole or not at all.

    fairseq writes a checkpoint to a temporary name and renames it, but copies it over the last one
    in place: a run that is killed then leaves half a file, and nothing to resume from.
    """
    checkpoints: Any = importlib.import_module("fairseq.checkpoint_utils")
    original = checkpoints.PathManager

    def copy(src_path: str, dst_path: str, overwrite: bool = False) -> bool:
        if not (original.supports_rename(src_path) and original.supports_rename(dst_path)):
            return bool(original.copy(src_path, dst_path, overwrite=overwrite))
        with open(src_path, "rb") as source:
            _save(dst_path, lambda file: _copy(source, file))
        return True

    checkpoints.PathManager = type("PathManager", (original,), {"copy": staticmethod(copy)})


def save_dir_first() -> None:
    """Says in a sentence that checkpoints cannot be written, before anything is read."""
    checkpoints: Any = importlib.import_module("fairseq.checkpoint_utils")
    original = checkpoints.verify_checkpoint_directory

    @functools.wraps(original)
    def verify_checkpoint_directory(save_dir: str) -> None:
        try:
            original(save_dir)
        except OSError as error:
            raise SystemExit(
                f"fairseq_prune: --save-dir {save_dir} cannot be written: {_reason(error)}; give "
                "a folder that can."
            ) from None

    checkpoints.verify_checkpoint_directory = verify_checkpoint_directory


def _copy(source: BinaryIO, file: Any) -> None:
    source.seek(0)
    shutil.copyfileobj(source, file, 1 << 20)


def _save(path: str, fill: Callable[[Any], None]) -> None:
    """Writes a file, at the third failure ends the program with a sentence."""
    for left in reversed(range(_TRIES)):
        try:
            return _write(path, fill)
        except OSError as error:
            sentence = f"{path} could not be written: {_reason(error)}"
            if left:
                logger.warning("%s; trying again.", sentence)
    raise SystemExit(
        f"fairseq_prune: {sentence}. What was saved before is as it was: mend that, and the same "
        "command goes on from the last checkpoint."
    )


def _write(path: str, fill: Callable[[Any], None]) -> None:
    temporary = path + ".tmp"
    try:
        with open(temporary, "wb") as raw:
            file = _Watched(raw)
            try:
                fill(file)
            except RuntimeError:  # torch's own words for it, which name no reason
                if file.error is None:
                    raise
                raise file.error from None
            raw.flush()
            os.fsync(raw.fileno())
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(temporary)
        raise


class _Watched:
    """A file that remembers why it could not be written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._file.flush()


def _reason(error: OSError) -> str:
    if error.errno in _FULL:
        return "no space is left on the disk"
    return error.strerror or str(error)
