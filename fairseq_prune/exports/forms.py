"""What commands take as a model: a checkpoint, a compact file, or an exported folder."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fairseq_prune.checkpoints import storage
from fairseq_prune.checkpoints.storage import CheckpointError
from fairseq_prune.exports import (
    CTRANSLATE2,
    INT8,
    QUANTIZATIONS,
    compact,
    ctranslate,
    ctranslate_folder,
)
from fairseq_prune.exports.folder import Folder
from fairseq_prune.exports.int8 import folder as int8_folder
from fairseq_prune.exports.making import Written
from fairseq_prune.files.needs import need
from fairseq_prune.files.writing import file_digest
from fairseq_prune.tasks.own import OwnTask, members_of, read_task, task_in

CHECKPOINT, COMPACT = "checkpoint", "compact"  # as export calls them
FOLDERS = (CTRANSLATE2, INT8)
_READERS: dict[str, Callable[[str], Folder]] = {  # by a file that each such folder has
    ctranslate.FILE: ctranslate_folder.read_folder,
    int8_folder.FILE: int8_folder.read_folder,
}


def form_of(path: str) -> str:
    """CHECKPOINT, COMPACT or one of FOLDERS; of an ensemble, that of its members."""
    members = members_of(path)
    folders = [member for member in members if member and Path(member).is_dir()]
    if folders:
        return INT8 if (Path(folders[0]) / int8_folder.FILE).is_file() else CTRANSLATE2
    return COMPACT if any(map(storage.is_container, members)) else CHECKPOINT


def read_folder(path: str) -> Folder:
    """The exported folder at ``path``.

    Raises CheckpointError where it is none that ``fairseq-prune export`` wrote, or is damaged.
    """
    for file, reader in _READERS.items():
        if (Path(path) / file).is_file():
            return reader(path)
    what = "is not there" if not Path(path).is_dir() else "is a folder without a model"
    raise CheckpointError(
        f"{path} {what}: it has none of {', '.join(_READERS)}; give a checkpoint, a compact file, "
        "or a folder that `fairseq-prune export` wrote."
    )


def task_of(path: str, model_overrides: str | None = None) -> OwnTask:
    """The task of a model, or of the first one of an ensemble.

    Raises ValueError, one sentence, where it is missing or cannot be used, or an override names
    none of its settings.
    """
    members = members_of(path)
    if form_of(path) in FOLDERS:
        return _task_of_folder(path, members, model_overrides)
    for member in members:
        if not Path(member).is_file():
            raise CheckpointError(storage.no_file(member))
    if storage.is_container(members[0]):
        return task_in(compact.read_settings(members[0]), path, model_overrides)
    return read_task(path, model_overrides)


def _task_of_folder(path: str, members: Sequence[str], model_overrides: str | None) -> OwnTask:
    if len(members) > 1:
        raise ValueError(
            f"{path} is an ensemble, and an exported folder is decoded alone: give the folder "
            "alone."
        )
    folder = read_folder(path)
    if model_overrides is not None:
        raise ValueError(
            f"--model-overrides replaces settings of a checkpoint, and {path} is an exported "
            "folder, which has none: evaluate it without them."
        )
    need("ctranslate2" if folder.form == CTRANSLATE2 else "safetensors", path)
    languages = folder.languages or (None, None)
    names = ("source_lang", "target_lang")
    return OwnTask(path, "translation", dict(zip(names, languages, strict=True)))


@contextmanager
def as_checkpoint(path: str) -> Iterator[str]:
    """A checkpoint, or an ensemble, that fairseq opens: the same, or a compact file's content in a
    temporary file, which errors name as the compact file."""
    members = members_of(path)
    if not any(map(storage.is_container, members)):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="fairseq-prune-") as folder:
        files = {}
        for number, member in enumerate(members):
            files[member] = member
            if storage.is_container(member):
                files[member] = str(Path(folder) / f"{number}.pt")
                storage.save(compact.read(member), files[member])
        try:
            yield os.pathsep.join(files[member] for member in members)
        except ValueError as error:
            text = str(error)
            for member, file in files.items():
                text = text.replace(file, member)
            if text == str(error):
                raise
            raise CheckpointError(text) from None


def size_of(path: str) -> int:
    """The bytes of a model's files as they are; of an ensemble, of all of them."""
    if form_of(path) in FOLDERS:
        return read_folder(path).size
    return sum(os.path.getsize(member) for member in members_of(path))


def digest_of(path: str) -> str:
    """The SHA-256 of a file, of a folder's files, or of those of an ensemble's members in order."""
    if form_of(path) in FOLDERS:
        return read_folder(path).digest()
    digests = [file_digest(member) for member in members_of(path)]
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def write_folder(
    form: str,
    checkpoint: str,
    data: str,
    output: str,
    *,
    quantization: str | None = None,
    sentencepiece: Sequence[str] | None = None,
    shortlist: int | None = None,
    force: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Written:
    """Write a model as a folder.

    Args:
        form: one of FOLDERS; the others are as for ``fairseq-prune export``.
        tell: is told what is done now.

    Raises ValueError, with nothing written, where that cannot be.
    """
    if form == CTRANSLATE2:
        return ctranslate.convert(
            checkpoint, data, output, quantization or QUANTIZATIONS[0],
            sentencepiece=sentencepiece, shortlist=shortlist, force=force, tell=tell,
        )  # fmt: skip
    from fairseq_prune.exports.int8 import export  # fairseq takes seconds to load

    return export.convert(
        checkpoint, data, output,
        sentencepiece=sentencepiece, shortlist=shortlist, force=force, tell=tell,
    )  # fmt: skip
