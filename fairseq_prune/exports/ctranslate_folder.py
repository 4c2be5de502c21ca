"""What a folder of CTranslate2 that this package wrote says of itself, without that program."""

from pathlib import Path

from fairseq_prune.checkpoints.storage import CheckpointError
from fairseq_prune.exports.ctranslate import PIECES
from fairseq_prune.exports.folder import CONFIG, Folder, json_in, making_of


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
    return Folder(
        path, making.steps, making.made, making.languages, making.positions, _vocabularies(path)
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
