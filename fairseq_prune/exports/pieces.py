"""The SentencePiece models that go with a model: those in its data, or those the user names."""

from collections.abc import Sequence
from pathlib import Path


def pieces_for(
    names: Sequence[str] | None, data: Path, languages: Sequence[str], symbols: Sequence[list[str]]
) -> list[Path]:
    """:func:`given_models` of what the user named, or else :func:`find_models` in the data."""
    if names is not None:
        return given_models(names, symbols)
    return find_models(data, languages, symbols)


def find_models(data: Path, languages: Sequence[str], symbols: Sequence[list[str]]) -> list[Path]:
    """The SentencePiece models of source and target in a data folder; empty where it has none.

    One model is for both languages; of several, those called ``NAME.LANG.model``.
    """
    models = sorted(data.glob("*.model"))
    of = [[m for m in models if language in m.name.split(".")] for language in languages]
    if len(models) == 1:
        pair = models * 2
    elif all(len(found) == 1 for found in of):
        pair = [found[0] for found in of]
    else:
        return []
    return pair if all(_misfit(m, s) is None for m, s in zip(pair, symbols, strict=True)) else []


def given_models(names: Sequence[str], symbols: Sequence[list[str]]) -> list[Path]:
    """The models of source and target that the user named, one for both or two.

    Raises ValueError where one cannot be read or has other pieces than its dictionary.
    """
    if len(names) > 2:
        raise ValueError(f"--sentencepiece takes one model or two, not {len(names)}.")
    pair = [Path(name) for name in names] * (3 - len(names))
    for path, tokens in zip(pair, symbols, strict=True):
        why = _misfit(path, tokens)
        if why is not None:
            raise ValueError(f"--sentencepiece {path} {why}.")
    return pair


def _misfit(model: Path, tokens: list[str]) -> str | None:
    """Why a model is not the one that a dictionary was made with, or None."""
    from sentencepiece import SentencePieceProcessor

    try:
        pieces = SentencePieceProcessor(model_file=str(model))
    except (OSError, RuntimeError):
        return "is no readable SentencePiece model"
    own = {pieces.id_to_piece(number) for number in range(pieces.get_piece_size())}
    words = [token for token in tokens[4:] if not token.startswith("madeupword")]
    # a few more are no fault: tags that were added, characters of the test set
    if sum(word in own for word in words) < 0.5 * len(words):
        return "does not fit: most of the dictionary's tokens are no pieces of it"
    return None
