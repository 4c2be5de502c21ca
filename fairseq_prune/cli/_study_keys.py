"""The page of all keys of a study file, made of the tables that its reader goes by."""

import textwrap
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from typing import Any

from fairseq_prune.cli.parsers import classify, evaluate
from fairseq_prune.pruning.recipe import help_of
from fairseq_prune.study.keys import BLOCK, DATA, FILE, MODEL, Meaning, Table
from fairseq_prune.study.model_file import REFUSED
from fairseq_prune.study.recipes import recipe_keys
from fairseq_prune.study.scoring import CLASSIFY, EVALUATE, keys_of
from fairseq_prune.study.stages import ASKED

_REFUSED = f"{', '.join(REFUSED[:-1])} and {REFUSED[-1]}"
HEAD = """\
# The keys of a study file

This page is what `fairseq-prune study keys` prints. `fairseq-prune study init` writes a file to
begin with, and `study plan FILE --output DIR` says what it would run. A list may be a single value.
Paths are relative to the file.
"""
_WIDTH = 100


def page() -> str:
    """All of it, in Markdown."""
    return HEAD + "".join(f"\n## {title}\n\n{text}" for title, text in _sections())


def _sections() -> Iterator[tuple[str, str]]:
    yield "The file", _listed(FILE)
    yield "data: an entry", _listed(DATA)
    yield (
        "models: an entry",
        _listed(MODEL)
        + _wrapped(
            "Either config or checkpoint has to be there. A configuration takes every flag of "
            f"fairseq-train, without its dashes (`true` for one without a value), but {_REFUSED}, "
            "which the study sets. DATA/ at the beginning of a value is the folder bin."
        ),
    )
    yield "grid: a block", _listed(BLOCK)
    yield "grid: keys of single stages", _listed(_of_stages())
    yield "grid: stages", _listed({name: Meaning(stage.what) for name, stage in ASKED.items()})
    yield (
        "grid: flags of the recipe",
        _listed({name: Meaning(help_of(f, brief=True)) for name, f in recipe_keys().items()})
        + _wrapped(
            "prune-start, prune-end, prune-every and prune-ramp may be a share of the block's "
            "training, 50% say. fairseq-prune flags says more of each."
        ),
    )
    yield "evaluate: translations", _listed(_settings(EVALUATE, evaluate))
    yield "evaluate: classifiers", _listed(_settings(CLASSIFY, classify))


def _of_stages() -> Table:
    found: dict[str, Meaning] = {}
    for stage in ASKED.values():
        for name, key in stage.keys.items():
            owners = " and ".join(n for n, one in ASKED.items() if name in one.keys)
            default = "" if key.default is None else str(key.default)
            found[name] = Meaning(f"of {owners}: {key.what}", default, key.default is None)
    return found


def _settings(scoring: str, words: Any) -> Table:
    """The settings of a command as keys, with what its own help says of each."""
    parser = ArgumentParser(add_help=False)
    words.add(parser)
    helps = {action.dest: action.help or "" for action in parser._actions}
    return {name: Meaning(helps[f.name]) for name, f in keys_of(scoring).items()}


def _listed(table: Mapping[str, Meaning]) -> str:
    return "".join(_entry(name, meaning) for name, meaning in table.items())


def _entry(name: str, meaning: Meaning) -> str:
    needed = " (needed)" if meaning.needed else ""
    shown = f"; default: {meaning.default}" if meaning.default else ""
    return textwrap.fill(
        f"- `{name}`{needed}: {' '.join(meaning.what.split())}{shown}.",
        _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False,
    ) + "\n"  # fmt: skip


def _wrapped(text: str) -> str:
    return f"\n{textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)}\n"
