"""What comes before a study: its keys, a file to begin with, and the examples."""

from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path

from fairseq_prune.cli._study_keys import page
from fairseq_prune.files.table import as_text
from fairseq_prune.study.examples import copy_examples, examples


def _keys(arguments: Namespace) -> int:
    print(page(), end="")
    return 0


def _init(arguments: Namespace) -> int:
    from fairseq_prune.study.beginning import begun, template

    given = (arguments.checkpoint, arguments.data)
    if given == (None, None):
        print(template(), end="")
        return 0
    if None in given:
        raise ValueError(
            "--checkpoint and --data go together; without both, init prints a template."
        )
    print(begun(arguments.checkpoint, arguments.data), end="")
    return 0


def _examples(arguments: Namespace) -> int:
    if arguments.folder is None:
        print(as_text([["example", "what it is"], *(list(one) for one in examples())]), end="")
        print("fairseq-prune study examples DIR copies them all there, with what they read")
        return 0
    study = copy_examples(Path(arguments.folder)) / "tiny.yaml"
    print(f"fairseq-prune study run {study} --output runs/tiny")
    return 0


STARTS: Mapping[str, Callable[[Namespace], int]] = {
    "keys": _keys,
    "init": _init,
    "examples": _examples,
}
