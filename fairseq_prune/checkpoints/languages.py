"""The dictionaries of a checkpoint's task: of which languages, and what the task adds to them.

A dictionary is known by a key: SOURCE and TARGET where a model translates one pair, the language
where it translates several, and TEXT where it reads one kind of text (a language model). What a
task adds when it loads a file stands in fairseq/tasks: `translation_from_pretrained_bart.py`,
`multilingual_translation.py`, `denoising.py`, data/multilingual/multilingual_utils.py.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fairseq_prune.checkpoints.checkpoint import Opened
from fairseq_prune.checkpoints.storage import CheckpointError
from fairseq_prune.network.options import Options, stock_task, task_options

SOURCE, TARGET, TEXT = "source", "target", "text"
ONE_PAIR = ("translation", "translation_from_pretrained_bart", "translation_lev")
ONE_MODEL, A_MODEL_A_PAIR = "translation_multi_simple_epoch", "multilingual_translation"
ONE_TEXT = ("language_modeling", "denoising")
TASKS = (*ONE_PAIR, ONE_MODEL, A_MODEL_A_PAIR, *ONE_TEXT)
_OTHER_FILES = ("fixed_dictionary", "source_dict", "target_dict")  # of ONE_MODEL
Pair = tuple[str, str]  # source and target: keys, or languages


@dataclass(frozen=True)
class Vocabularies:
    """The dictionaries of a task.

    Args:
        task: its stock name.
        languages: by key, LANG of the file dict.LANG.txt; empty where it is dict.txt.
        appended: tokens that the task puts after those of each file, in order, where it has them
            not.
        every: the pairs of keys that it translates, empty for TEXT.
        counted: those of them whose training data say which tokens are used.
        alike: keys whose dictionaries fairseq wants to be the same.
        files: by key, another file that the checkpoint names.
        settings: what the task has to be told now, beside where its data are.
    """

    task: str
    languages: Mapping[str, str]
    appended: tuple[str, ...] = ()
    every: tuple[Pair, ...] = ()
    counted: tuple[Pair, ...] = ()
    alike: tuple[tuple[str, ...], ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def used(self) -> set[str]:
        """The keys of the dictionaries whose tokens are counted."""
        return {key for pair in self.counted for key in pair} or set(self.languages)

    def key_of(self, side: str, pair: str | None) -> str:
        """The key of a table.

        Args:
            side: ``encoder`` or ``decoder``.
            pair: of a model among several, such as ``de-en``; None for the only one.
        """
        if not self.every:
            return TEXT
        its = self.every[0] if pair is None else pair.split("-")
        return its[0] if side == "encoder" else its[-1]

    def label(self, key: str) -> str:
        """A key to be read, with its language or file."""
        language = self.languages[key]
        return key if key == language else f"{key} ({language or self.file_of(key)})"

    def file_of(self, key: str) -> str:
        """The name of a key's file in a folder of data."""
        return f"dict.{self.languages[key]}.txt" if self.languages[key] else "dict.txt"


def vocabularies_of(
    opened: Opened, pairs: Sequence[str] | None = None, inferred: Pair | None = None
) -> Vocabularies:
    """The dictionaries of the task that a checkpoint was trained for.

    Args:
        pairs: such as ``de-en``, those whose training data count; None for all.
        inferred: source and target language, for a checkpoint that does not say them.

    Raises ValueError where the task is another, or has no such pair.
    """
    task, options = str(stock_task(opened.content)), task_options(opened.content)
    if task not in TASKS:
        raise CheckpointError(
            f"{opened.path} was trained for the task {task}; give a checkpoint of the task "
            f"{', '.join(TASKS[:-1])} or {TASKS[-1]}."
        )
    if task in (ONE_MODEL, A_MODEL_A_PAIR):
        return _several(opened, task, options, pairs)
    if pairs:
        raise ValueError(
            f"{opened.path} is no multilingual model, its task is {task}: leave --pairs out."
        )
    if task in ONE_TEXT:
        if int(options.get("output_dictionary_size", -1)) >= 0:
            raise CheckpointError(
                f"{opened.path} puts out the first {options.get('output_dictionary_size')} tokens "
                "of its dictionary only (--output-dictionary-size), so that tokens cannot be "
                "taken out of it by their use."
            )
        return Vocabularies(task, {TEXT: ""}, ("<mask>",) if task == "denoising" else ())
    own = options.get("source_lang"), options.get("target_lang")
    source, target = (inferred or ("", "")) if None in own else own
    added: tuple[str, ...] = ()
    if task == "translation_from_pretrained_bart":
        added = (*(f"[{one}]" for one in options.words("langs")), "<mask>")
    both = ((SOURCE, TARGET),)
    return Vocabularies(task, {SOURCE: str(source), TARGET: str(target)}, added, both, both)


def _several(
    opened: Opened, task: str, options: Options, chosen: Sequence[str] | None
) -> Vocabularies:
    """Those of several pairs of languages, each language its own key."""
    own = [_pair(one, opened.path) for one in options.words("lang_pairs")]
    if not own:
        raise CheckpointError(f"{opened.path} does not say its language pairs (--lang-pairs).")
    counted = [_pair(one, "--pairs") for one in chosen] if chosen else own
    return (_one_model if task == ONE_MODEL else _models)(opened, options, own, counted)


def _one_model(
    opened: Opened, options: Options, own: list[Pair], counted: list[Pair]
) -> Vocabularies:
    """One encoder and one decoder for all languages: what is left is for the counted pairs."""
    languages = _languages_in_order(opened, options, own)
    strange = [one for pair in counted for one in pair if one not in languages]
    if strange:
        raise ValueError(
            f"--pairs names {strange[0]}, which is no language of {opened.path}; it knows "
            f"{', '.join(languages)}."
        )
    if options.get("extra_data") and counted == own:
        raise ValueError(
            f"{opened.path} was trained on more data than those of its pairs (--extra-data), which "
            "vocab does not read: give --pairs with the pairs whose tokens are to stay."
        )
    sides = [tuple(dict.fromkeys(its)) for its in zip(*counted, strict=True)]
    other = {name: options.get(name) for name in _OTHER_FILES if options.get(name)}
    files: dict[str, str] = {}
    for side, name in zip(sides, ("source_dict", "target_dict"), strict=True):
        path = other.get("fixed_dictionary", other.get(name))
        files |= {key: str(path) for key in side if path}
    settings: dict[str, Any] = {"lang_pairs": ["-".join(pair) for pair in counted]}
    settings |= dict.fromkeys(other)
    if not options.get("lang_dict"):
        settings["langs"] = [*languages]
    keys = {one: one for pair in counted for one in pair}
    pairs = tuple(counted)
    return Vocabularies(
        ONE_MODEL, keys, _tags(options, languages), pairs, pairs, (*sides,), files, settings
    )


def _models(opened: Opened, options: Options, own: list[Pair], counted: list[Pair]) -> Vocabularies:
    """An encoder and a decoder for each pair, shared or not: all of them stay."""
    strange = next((pair for pair in counted if pair not in own), None)
    if strange:
        raise ValueError(
            f"--pairs names {'-'.join(strange)}, for which {opened.path} has no model; it has "
            f"{', '.join(map('-'.join, own))}."
        )
    languages = sorted({one for pair in own for one in pair})
    tagged = options.get("encoder_langtok") is not None or options.get("decoder_langtok")
    added = tuple(f"__{one}__" for one in languages) if tagged else ()
    keys = {one: one for one in languages}
    return Vocabularies(A_MODEL_A_PAIR, keys, added, tuple(own), tuple(counted))


def _languages_in_order(opened: Opened, options: Options, own: list[Pair]) -> tuple[str, ...]:
    """The languages that have a token, in the order of their numbers."""
    named = options.get("lang_dict")
    if named:
        try:
            with open(str(named), encoding="utf-8") as file:
                return tuple(line.strip() for line in file if line.strip())
        except (OSError, UnicodeDecodeError):
            raise ValueError(
                f"{opened.path} has the order of its languages in {named} (--lang-dict), which "
                "cannot be read: put the file there again."
            ) from None
    listed = options.words("langs")
    return tuple(listed or sorted({one for pair in own for one in pair}))


def _tags(options: Options, languages: Sequence[str]) -> tuple[str, ...]:
    """The language tokens, as fairseq's `augment_dictionary` adds them."""
    style = "[{}]" if options.get("lang_tok_style") == "mbart" else "__{}__"
    tags = []
    for kind in options.words("langtoks_specs", ["main"]):
        ending = next((f"_{end}" for end in ("dae", "mined") if kind.endswith(end)), "")
        tags += [style.format(language + ending) for language in languages]
    if style == "[{}]" or "mono_dae" in (options.get("extra_data") or {}):
        tags.append("<mask>")
    return tuple(tags)


def _pair(text: str, where: str) -> Pair:
    source, dash, target = text.partition("-")
    if not (source and dash and target) or "-" in target or os.sep in text:
        raise ValueError(f"{where} has the language pair {text[:40]!r}: write SOURCE-TARGET.")
    return source, target
