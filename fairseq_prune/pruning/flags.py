"""The prune flags for argparse, made from the recipe's fields."""

import dataclasses
from argparse import SUPPRESS, ArgumentParser, Namespace, _ArgumentGroup
from typing import get_type_hints

from fairseq_prune.pruning.penalty_flags import PENALTIES
from fairseq_prune.pruning.recipe import Recipe, help_of

PREFIX = "prune_"
OVERRIDE = PREFIX + "override"
OVERRIDE_HELP = (
    "resume although the checkpoint was pruned with other flags; without --prune-scheme and "
    "--prune-mask-from: forget its masks and train dense"
)
KEEP = PREFIX + "keep_update"
KEEP_HELP = (
    "also save the state after this update, as checkpoint_update_N.pt (0: before the first one); "
    "changes nothing else and needs no other prune flag"
)


def add_arguments(
    parser: ArgumentParser | _ArgumentGroup, brief: bool = False, timed: bool = True
) -> None:
    """Add the prune flags to an argparse parser (the command line, tasks without a dataclass).

    Args:
        brief: their help has the names that there are, without what they do.
        timed: with what acts during a training. Without, flags that say when are taken, so that
            they can be refused in a sentence, and their help is not shown.
    """
    types = get_type_hints(Recipe)
    for f in dataclasses.fields(Recipe):
        kind = next(t for t in (float, int, str) if t in types[f.name].__args__)
        action = parser.add_argument(
            _flag(PREFIX + f.name),
            type=kind,
            default=None,
            metavar=f.metadata.get("metavar") or _metavar(f.name, kind),
            help=SUPPRESS
            if f.metadata["timed"] and not timed
            else help_of(f, brief).replace("%", "%%"),
        )
        if f.metadata["names"] is not None:  # a shell's completion, if argcomplete is there
            names = f.metadata["names"]
            vars(action)["completer"] = lambda names=names, **_: tuple(names())
    if timed:
        parser.add_argument(_flag(OVERRIDE), action="store_true", help=OVERRIDE_HELP)
        parser.add_argument(_flag(KEEP), type=int, default=None, metavar="N", help=KEEP_HELP)


def add_penalty_arguments(parser: ArgumentParser | _ArgumentGroup, penalty: str) -> None:
    """Add the flags of the criterions ``NAME_PENALTY`` to an argparse parser."""
    settings = PENALTIES[penalty].settings
    types = get_type_hints(settings)
    for f in dataclasses.fields(settings):
        text = f"{f.metadata['help']} (default {f.default})"
        kind = types[f.name]
        metavar = "KIND" if kind is str else "NUMBER"
        parser.add_argument(_flag(PREFIX + f.name), type=kind, metavar=metavar, help=text)


def recipe_of(arguments: Namespace) -> Recipe:
    """The recipe in parsed arguments, not checked yet."""
    given = {f.name: getattr(arguments, PREFIX + f.name, None) for f in dataclasses.fields(Recipe)}
    return Recipe(**given)


def words_of(recipe: Recipe) -> list[str]:
    """The recipe as words of a command line."""
    given = dataclasses.asdict(recipe).items()
    pairs = ((_flag(PREFIX + name), str(value)) for name, value in given if value is not None)
    return [word for pair in pairs for word in pair]


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _metavar(name: str, kind: type) -> str:
    return {float: "FRACTION", int: "N"}.get(kind, name.upper())
