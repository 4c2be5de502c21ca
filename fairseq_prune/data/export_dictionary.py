"""The dictionaries of a data folder, read as text: fairseq's ``dict.LANG.txt``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")  # fairseq puts them before what is in the file


def languages(data: Path, task: Mapping[str, Any]) -> tuple[str, str]:
    """Source and target language: as the task was told, or as the folder's file names say.

    Raises ValueError where neither does.
    """
    source, target = task.get("source_lang"), task.get("target_lang")
    if source and target:
        return str(source), str(target)
    # fairseq's own rule: SPLIT.SOURCE-TARGET.LANG.idx
    for path in sorted(data.iterdir()):
        parts = path.name.split(".")
        if len(parts) >= 3 and parts[1].count("-") == 1:
            source, target = parts[1].split("-")
            return source, target
    raise ValueError(
        f"--data {data} has no binarised sentences and the checkpoint names no languages: give the "
        "folder that fairseq-preprocess made."
    )


def symbols(data: Path, language: str) -> list[str]:
    """The tokens of a language in the order of their numbers, fairseq's four special ones first.

    Raises ValueError where the file is missing, is no dictionary, or has a token twice.
    """
    path = data / f"dict.{language}.txt"
    try:
        with path.open(encoding="utf-8") as file:
            tokens = [*SPECIAL, *(_token(line, path) for line in file)]
    except (OSError, UnicodeError) as error:
        raise ValueError(
            f"{path} cannot be read ({error}); give as --data the folder that the model was "
            "trained on, which has its dictionaries."
        ) from None
    if len(set(tokens)) < len(tokens):
        twice = next(token for number, token in enumerate(tokens) if token in tokens[:number])
        raise ValueError(f"{path} has {twice!r} twice, which CTranslate2 cannot tell apart.")
    return tokens


def _token(line: str, path: Path) -> str:
    fields = line.rstrip().removesuffix(" #fairseq:overwrite").rsplit(" ", 1)
    if len(fields) != 2 or not fields[1].isdigit():
        raise ValueError(f"{path} is no fairseq dictionary: it has the line {line.strip()[:40]!r}.")
    return fields[0]
