"""What a folder that was exported says of itself: CTranslate2's, or one of torch in 8 bits.

A folder may be anybody's: its JSON is looked at before anything is believed.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from fairseq_prune.checkpoints.steps import FORMAT, STEPS_KEY, Step, read_steps
from fairseq_prune.checkpoints.storage import CheckpointError
from fairseq_prune.data.dictionary import languages_of, read_dictionary
from fairseq_prune.exports import CTRANSLATE2
from fairseq_prune.files.folder import size_in
from fairseq_prune.files.strict_json import is_number, parse
from fairseq_prune.files.writing import file_digest
from fairseq_prune.tasks.own import Given, folders_of

CONFIG = "config.json"
_POSITIONS = 1024  # fairseq's default, for folders of earlier versions


@dataclass(frozen=True)
class Folder:
    """An exported model with what made it.

    Args:
        path: as given.
        steps: by which the model came to be, the export last; none in folders of early versions.
        made: what else its config.json says of that: ``checkpoint``, ``quantization``,
            ``parameters``, ``nonzero``, ``multiply_adds``, ``flop_sparsity``, ``shortlist``; each
            may be missing.
        languages: source and target; None in folders of earlier versions.
        positions: how many tokens a source and a target may have.
        vocabularies: the tokens of source and target, by their numbers.
    """

    path: str
    steps: tuple[Step, ...]
    made: Mapping[str, Any]
    languages: tuple[str, str] | None
    positions: tuple[int, int]
    vocabularies: tuple[list[str], list[str]]
    form: ClassVar[str] = CTRANSLATE2  # one of the formats of export

    @property
    def quantization(self) -> str | None:
        """How its weights are stored; None where it does not say so."""
        found = self.made.get("quantization")
        return None if found is None else str(found)

    @property
    def has_shortlist(self) -> bool:
        """Whether it decodes over the words of a lexical shortlist."""
        return self.made.get("shortlist") is not None

    @property
    def files(self) -> list[Path]:
        """All of its files."""
        return sorted(path for path in Path(self.path).iterdir() if path.is_file())

    @property
    def size(self) -> int:
        """Of its files, in bytes."""
        return size_in(self.path)

    def check_data(self, given: Given) -> tuple[str, str]:
        """The languages of source and target: the flags', else the folder's, else the data's.

        Raises ValueError where the data's dictionaries of these have other tokens than the folder.
        """
        data = folders_of(given.data)[0]
        pair = given.source_lang, given.target_lang
        if pair == (None, None) and self.languages and _has_dictionaries(data, self.languages):
            pair = self.languages
        names = ("source_lang", "target_lang")
        found = languages_of(data, dict(zip(names, pair, strict=True)))
        sides = zip(("source", "target"), found, self.vocabularies, strict=True)
        for side, language, tokens in sides:
            if list(read_dictionary(data / f"dict.{language}.txt").tokens) != tokens:
                raise ValueError(
                    f"the {side} dictionary of --data {given.data} ({language}) has other tokens "
                    f"than {self.path}: give the folder that the model was trained on, or its "
                    "languages."
                )
        return found

    def digest(self) -> str:
        """A SHA-256 of the names and contents of its files."""
        lines = "".join(f"{file_digest(path)} {path.name}\n" for path in self.files)
        return hashlib.sha256(lines.encode()).hexdigest()


def _has_dictionaries(data: Path, languages: tuple[str, str]) -> bool:
    return all((data / f"dict.{language}.txt").is_file() for language in languages)


@dataclass(frozen=True)
class Making:
    """What a folder's config.json says of its model; see :class:`Folder`."""

    made: Mapping[str, Any]
    steps: tuple[Step, ...]
    languages: tuple[str, str] | None
    positions: tuple[int, int]


def making_of(path: str, config: Any) -> Making | None:
    """What our entry in a folder's config.json says; None where there is none.

    Raises CheckpointError where it is damaged.
    """
    made = config.get("fairseq_prune") if isinstance(config, dict) else None
    if not isinstance(made, dict):
        return None
    steps = _steps(made, path)
    try:
        languages = _pair(made.get("languages"), str)
        positions = _pair(made.get("positions"), int) or (_POSITIONS, _POSITIONS)
        _check(made)
    except ValueError as error:
        raise CheckpointError(f"{path}/{CONFIG} is damaged: {error}.") from None
    return Making(made, steps, languages, positions)


def json_in(path: str, name: str) -> Any:
    """The value of a JSON file of a folder; raises CheckpointError where it has none."""
    try:
        return parse((Path(path) / name).read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path}/{name} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise CheckpointError(f"{path}/{name} is damaged: {error}.") from None


def _steps(made: Mapping[str, Any], path: str) -> tuple[Step, ...]:
    if "steps" not in made:
        return ()
    stored = {STEPS_KEY: {"format": FORMAT, "steps": made["steps"]}}
    return tuple(read_steps({"task_state": stored}, f"{path}/{CONFIG}"))


def _pair(value: Any, kind: type) -> Any:
    if value is None:
        return None
    if not isinstance(value, list) or [type(one) for one in value] != [kind, kind]:
        raise ValueError(f"{str(value)[:80]!r} is no pair")
    if kind is int and min(value) < 1:
        raise ValueError(f"{value} are no numbers of positions")
    return tuple(value)


def _check(made: Mapping[str, Any]) -> None:
    for name in ("checkpoint", "quantization", "pruned"):
        if not isinstance(made.get(name), str | None):
            raise ValueError(f"its {name} is no text")
    for name in ("parameters", "nonzero", "sparsity", "flop_sparsity"):
        if made.get(name) is not None and not is_number(made[name]):
            raise ValueError(f"its {name} is no number")
    work = made.get("multiply_adds", [0, 0])
    if not isinstance(work, list) or len(work) != 2 or not all(map(is_number, work)):
        raise ValueError("its multiply_adds are no pair")
