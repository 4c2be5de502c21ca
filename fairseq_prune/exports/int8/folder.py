"""A folder with an LSTM in 8 bits, and all that translating text with it needs.

``model.safetensors`` has the tensors, ``config.json`` what made them, their network, and a SHA-256
of every other file; ``dict.LANG.txt`` are fairseq's dictionaries, so that the folder is also the
data that fairseq's task reads them from; ``spm.LANG.model``, or ``spm.model`` for both, are
SentencePiece's, if there are any.
A folder may be anybody's: nothing in it is code, and everything is checked before it is used.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from fairseq_prune.checkpoints.storage import CheckpointError
from fairseq_prune.data.dictionary import read_dictionary
from fairseq_prune.exports import INT8
from fairseq_prune.exports.folder import CONFIG, Folder, json_in, making_of
from fairseq_prune.exports.int8.parts import Spec
from fairseq_prune.files.needs import need
from fairseq_prune.files.text import first_line
from fairseq_prune.files.writing import file_digest

FILE = "model.safetensors"  # the weights; every such folder has it
LISTS = "shortlist.safetensors"  # the lexical shortlist, of a folder that has one
FORMAT = 1


@dataclass(frozen=True)
class Int8Folder(Folder):
    """See :class:`~fairseq_prune.exports.folder.Folder`.

    Args:
        spec: of the network.
        digests: the SHA-256 of every file but config.json, by name.
    """

    spec: Spec
    digests: Mapping[str, str]
    form: ClassVar[str] = INT8

    def tensors(self) -> dict[str, Tensor]:
        """The weights.

        Raises CheckpointError where the file is damaged or was changed.
        """
        need("safetensors", f"--format {INT8}")
        return self._read(FILE)

    def lists(self) -> dict[str, Tensor] | None:
        """The tensors of its lexical shortlist; None where it has none.

        Raises CheckpointError where the file is damaged, missing or was changed.
        """
        return self._read(LISTS) if self.has_shortlist else None

    def _read(self, name: str) -> dict[str, Tensor]:
        import safetensors.torch

        path = Path(self.path) / name
        self._check(name)
        try:
            return safetensors.torch.load_file(path)
        except (OSError, ValueError, safetensors.SafetensorError) as error:
            raise CheckpointError(f"{path} cannot be read: {first_line(error, 160)}.") from None

    def check_files(self) -> None:
        """Raise CheckpointError where a small file is missing or was changed; weights are checked
        when they are read."""
        for name in self.digests:
            if name != FILE:
                self._check(name)

    def _check(self, name: str) -> None:
        path = Path(self.path) / name
        if not path.is_file():
            raise CheckpointError(f"{self.path} lacks its {name}: export it again.")
        if file_digest(path) != self.digests.get(name):
            raise CheckpointError(
                f"{path} is not the file that was exported (its SHA-256 is another): export it "
                "again."
            )


def read_folder(path: str) -> Int8Folder:
    """The folder at ``path``, all but its weights.

    Raises CheckpointError where it is damaged, or was written by a later version.
    """
    config = json_in(path, CONFIG)
    making = making_of(path, config)
    if making is None or making.languages is None:
        raise CheckpointError(
            f"{path} has a {FILE} that `fairseq-prune export --format {INT8}` did not write."
        )
    form = making.made.get("format")
    if form != FORMAT:
        raise CheckpointError(
            f"{path} has format {str(form)[:20]}, and this version of fairseq_prune reads format "
            f"{FORMAT}: install the version that wrote it, or export the checkpoint again."
        )
    try:
        spec, digests = Spec.unpack(making.made.get("network")), making.made.get("files")
        names = [FILE, *(f"dict.{language}.txt" for language in making.languages)]
        if not isinstance(digests, dict) or not set(names) <= set(digests):
            raise ValueError("it does not list its files")
        if not all(Path(n).name == n and isinstance(d, str) for n, d in digests.items()):
            raise ValueError("a file that it lists is not in it")
    except ValueError as error:
        raise CheckpointError(f"{path}/{CONFIG} is damaged: {error}.") from None
    bare = Int8Folder(
        path, making.steps, making.made, making.languages, spec.positions, ([], []), spec, digests
    )
    bare.check_files()
    source, target = (list(read_dictionary(Path(path) / name).tokens) for name in names[1:])
    return replace(bare, vocabularies=(source, target))


def write(
    folder: Path,
    spec: Spec,
    tensors: Mapping[str, Tensor],
    made: Mapping[str, Any],
    copied: Mapping[str, Path],
    lists: Mapping[str, Tensor] | None = None,
) -> None:
    """Fill an empty folder.

    Args:
        made: for config.json; ``languages`` is in it.
        copied: files to copy, by their names in the folder.
        lists: the tensors of a lexical shortlist; None without one.
    """
    import safetensors.torch

    for name, path in copied.items():
        shutil.copyfile(path, folder / name)
    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    (folder / FILE).write_bytes(safetensors.torch.save(whole))  # save_file's are nobody else's
    names = [FILE, *copied]
    if lists is not None:
        (folder / LISTS).write_bytes(safetensors.torch.save(dict(lists)))
        names.append(LISTS)
    digests = {name: file_digest(folder / name) for name in names}
    facts = {**made, "format": FORMAT, "network": spec.pack(), "files": digests}
    text = json.dumps({"fairseq_prune": facts}, indent=1) + "\n"
    (folder / CONFIG).write_text(text, encoding="utf-8")


def copies(data: Path, languages: Sequence[str], pieces: Sequence[Path]) -> dict[str, Path]:
    """What is copied into a folder, by name: dictionaries and, if any, SentencePiece models."""
    found = {f"dict.{language}.txt": data / f"dict.{language}.txt" for language in languages}
    if len(set(pieces)) == 1:
        return {**found, "spm.model": pieces[0]}
    return found | {
        f"spm.{language}.model": path for language, path in zip(languages, pieces, strict=False)
    }
