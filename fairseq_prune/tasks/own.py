"""The task that a checkpoint was trained with: what its file says of it, and what flags override.

Nothing here needs fairseq, so that what a command does not take is said before any work.
"""

import ast
import os
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairseq_prune.checkpoints import storage
from fairseq_prune.network.options import Options, stock_task, task_options

# by what fairseq can do with them; all others are none of text, or have a command of their own
TRANSLATING = (
    *("translation", "translation_lev", "translation_multi_simple_epoch"),
    *("multilingual_translation", "semisupervised_translation"),
    *("translation_from_pretrained_bart", "translation_from_pretrained_xlm"),
)
SCORED = (
    *("language_modeling", "multilingual_language_modeling", "denoising", "multilingual_denoising"),
    *("masked_lm", "multilingual_masked_lm", "legacy_masked_lm", "cross_lingual_lm"),
)
A_MODEL_A_PAIR = ("multilingual_translation", "semisupervised_translation")
_CLASSIFIERS = ("sentence_prediction", "sentence_prediction_adapters", "sentence_ranking")
_OTHERS = (
    *("audio_finetuning", "audio_pretraining", "hubert_pretraining", "speech_to_text"),
    *("speech_to_speech", "text_to_speech", "frm_text_to_speech", "speech_unit_modeling"),
    *("simul_speech_to_text", "simul_text_to_text", "online_backtranslation"),
    *("dummy_lm", "dummy_masked_lm", "dummy_mt"),
)


@dataclass(frozen=True, kw_only=True)
class Given:
    """What flags say of the task, instead of the checkpoint.

    Args:
        data: one folder, or several with colons between them.
        source_lang, target_lang, dataset_impl: None for the checkpoint's, or what the data tell.
        model_overrides: a dictionary of settings as text, as fairseq-generate takes it.
        user_dir: a plugin that the checkpoint needs.
    """

    data: str
    source_lang: str | None = None
    target_lang: str | None = None
    dataset_impl: str | None = None
    model_overrides: str | None = None
    user_dir: str | None = None


@dataclass(frozen=True)
class OwnTask:
    """A checkpoint's task.

    Args:
        path: the checkpoint, as messages name it.
        name: what fairseq calls the task; None where the file does not say.
        values: its settings, overridden ones included.
        overrides: what the user overrides.
    """

    path: str
    name: str | None
    values: Mapping[str, Any]
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @property
    def pairs(self) -> list[str]:
        """The language pairs that the task was set up with, as ``de-en``; none of other tasks."""
        return Options(self.values).words("lang_pairs")

    @property
    def translates(self) -> bool:
        """Whether it may translate; a plugin's task that fairseq does not have may."""
        return self.name is None or self.name not in SCORED

    @property
    def refines(self) -> bool:
        """Whether it decodes by refining whole sentences, without a beam."""
        return self.name == "translation_lev"

    @property
    def classifies(self) -> bool:
        """Whether it gives classes, and no text."""
        return self.name in _CLASSIFIERS

    def check_text(self, command: str) -> None:
        """Raise ValueError where the task is none that ``command`` runs."""
        if self.classifies:
            raise ValueError(
                f"{self.path} is a classifier (task {self.name}); {command} takes models that "
                "write text: use fairseq-prune classify."
            )
        if self.name in _OTHERS:
            raise ValueError(
                f"{self.path} is of task {self.name}, which {command} does not take: it takes "
                f"{', '.join((*TRANSLATING, *SCORED))}."
            )

    def check_translates(self, what: str) -> None:
        """Raise ValueError where the task has no translations, which ``what`` needs."""
        if not self.translates:
            raise ValueError(
                f"{self.path} is of task {self.name}, which has no translations; {what} is of "
                "translations."
            )

    def pair(self, given: Given) -> tuple[str, str] | None:
        """The language pair that flags name, or the only one; None where that is left open.

        Raises ValueError where flags name half a pair, or one that the model does not have.
        """
        asked = given.source_lang, given.target_lang
        if not self.pairs and None in asked:
            return None  # of two languages: what flags leave open, the file or the data say
        if asked == (None, None):
            single = self.pairs[0].split("-") if len(self.pairs) == 1 else ()
            return (single[0], single[1]) if len(single) == 2 else None
        if None in asked:
            raise ValueError(
                f"{self.path} is of several languages ({', '.join(self.pairs)}); --source-lang and "
                "--target-lang go together: give both."
            )
        source, target = (str(language) for language in asked)
        if self.name in A_MODEL_A_PAIR and f"{source}-{target}" not in self.pairs:
            raise ValueError(
                f"{self.path} has no model for {source}-{target}; it has one for "
                f"{' and '.join(self.pairs)}."
            )
        return source, target


def read_task(path: str, model_overrides: str | None = None) -> OwnTask:
    """The task of a checkpoint, or of the first one of an ensemble.

    Raises ValueError where the file is no checkpoint, or an override names none of its settings.
    """
    return task_in(storage.load(members_of(path)[0]), path, model_overrides)


def task_in(content: Mapping[str, Any], path: str, model_overrides: str | None = None) -> OwnTask:
    """The task of a checkpoint that has been read; as :func:`read_task`.

    Args:
        content: of the checkpoint, or of the first one of an ensemble; its model may be missing.
        path: as given.
    """
    first = members_of(path)[0]
    overrides = parse_overrides(model_overrides)
    known = set(_names(content.get("cfg") or content.get("args")))
    for setting in overrides:
        if setting not in known:
            raise ValueError(
                f"--model-overrides names {setting}, which is no setting of {first}: it would "
                "change nothing."
            )
    return OwnTask(
        path, stock_task(content), {**task_options(content).values, **overrides}, overrides
    )


def _names(settings: Any) -> Iterator[str]:
    values = vars(settings) if isinstance(settings, Namespace) else settings
    if isinstance(values, Mapping):
        for name, value in values.items():
            yield str(name)
            yield from _names(value)


def parse_overrides(text: str | None) -> dict[str, Any]:
    """A dictionary as text, such as ``{'dropout': 0}``; nothing in it is run.

    Raises ValueError where it is anything else.
    """
    try:
        found = {} if text is None else ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise ValueError(
            f"--model-overrides {text} is no dictionary of settings and plain values; give one, "
            "e.g. \"{'dropout': 0}\"."
        )
    return found


def members_of(checkpoint: str) -> list[str]:
    """The files of an ensemble, which are given with colons between them; or the one file."""
    if Path(checkpoint).is_file():
        return [checkpoint]
    return checkpoint.split(os.pathsep)


def folders_of(data: str) -> list[Path]:
    """The folders of data that are given with colons between them; the first has valid and test."""
    return [Path(part) for part in data.split(os.pathsep)]


def overrides_of(own: OwnTask, given: Given, pair: Sequence[str] | None = None) -> dict[str, Any]:
    """What replaces settings in a checkpoint, by name: the data, what flags say, the user's own.

    Args:
        pair: the languages to translate between, where a task of several is to take one pair.
    """
    found: dict[str, Any] = {"data": given.data, "eval_bleu": False}
    first = folders_of(given.data)[0]
    if given.dataset_impl is not None or list(first.glob("*.idx")):
        found["dataset_impl"] = given.dataset_impl  # None: fairseq finds it out
    if pair is not None:
        found["source_lang"], found["target_lang"] = pair
    elif not own.pairs:
        found |= _languages(own, given, first)
    return {**found, **own.overrides}


def _languages(own: OwnTask, given: Given, folder: Path) -> dict[str, Any]:
    """Languages: the flags', else the checkpoint's; where the data are of others, theirs."""
    names = ("source_lang", "target_lang")
    flags = {name: getattr(given, name) for name in names if getattr(given, name) is not None}
    languages = [{**own.values, **flags}.get(name) for name in names]
    if not flags and any(languages):
        there = all((folder / f"dict.{language}.txt").is_file() for language in languages)
        return {} if there else dict.fromkeys(names)
    return flags
