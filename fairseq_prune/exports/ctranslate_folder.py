"""What a folder of CTranslate2 that this package wrote says of itself, without that program."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fairseq_prune.checkpoints.storage import CheckpointError
from fairseq_prune.exports.ctranslate import PIECES, SHORTLIST
from fairseq_prune.exports.folder import CONFIG, Folder, json_in, making_of
from fairseq_prune.files.writing import file_digest


def read_folder(path: str) -> Folder:
    """The folder at ``path``.

    Raises CheckpointError where it is none that ``fairseq-prune export`` wrote, or is damaged.
    """
    making = making_of(path, json_in(path, CONFIG))
    if making is None:
        raise CheckpointError(
            f"{path} is a folder of CTranslate2 that `fairseq-prune export` did not write, so "
            "nothing says how it translates; export its checkpoint with --format ctranslate2."
        )
    _check_shortlist(path, making.made)
    return Folder(
        path, making.steps, making.made, making.languages, making.positions, _vocabularies(path)
    )


def _check_shortlist(path: str, made: Mapping[str, Any]) -> None:
    """Raise CheckpointError where the file of the shortlist, if there is one, is not that which was
    exported."""
    found = made.get("shortlist")
    if found is None:
        return
    if not isinstance(found, dict) or not isinstance(found.get("sha256"), str):
        raise CheckpointError(f"{path}/{CONFIG} is damaged: its shortlist has no SHA-256.")
    if not (file := Path(path) / SHORTLIST).is_file():
        raise CheckpointError(f"{path} lacks {SHORTLIST}, its shortlist: export it again.")
    if file_digest(file) != found["sha256"]:
        raise CheckpointError(
            f"{file} is not the shortlist that was exported (its SHA-256 is another): export the "
            "model again."
        )


def pieces_in(path: str) -> list[Path]:
    """The SentencePiece models of source and target in a folder; none where it has not both."""
    found = [Path(path) / name for name in PIECES]
    return found if all(file.is_file() for file in found) else []


def _vocabularies(path: str) -> tuple[list[str], list[str]]:
    found = []
    for side in ("source", "target"):
        name = f"{side}_vocabulary.json"
        if not (Path(path) / name).is_file():
            name = "shared_vocabulary.json"
        tokens = json_in(path, name)
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise CheckpointError(f"{path}/{name} is damaged: it is no list of tokens.")
        found.append(tokens)
    return found[0], found[1]
