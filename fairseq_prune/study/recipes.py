"""The recipes of a block of the grid: the product of its axes, each one checked."""

import itertools
import os
from argparse import ArgumentError, ArgumentParser
from collections.abc import Mapping
from dataclasses import Field, fields
from pathlib import Path
from typing import Any, NoReturn

from fairseq_prune.network.classes import GRANULARITIES, read_rules
from fairseq_prune.pruning.checks import checked
from fairseq_prune.pruning.flags import add_penalty_arguments
from fairseq_prune.pruning.penalty_flags import PENALTIES
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.study.document import Node
from fairseq_prune.study.model_file import Flags, flags_in, is_recipe_flag
from fairseq_prune.study.stages import STAGES, starts_of

AXES = ("schemes", "saliencies", "structures", "sparsities")
_UPDATES = ("start", "end", "every", "ramp")  # what may be a share of a training, as 50%


def recipes_of(
    block: Node, entries: Mapping[str, Node], stage: str, base: Path, training: Flags | None
) -> list[Recipe]:
    """Every recipe of a block; raises ValueError where one makes no sense.

    Args:
        stage: that the recipes are for.
        base: the folder that files are relative to.
        training: the flags that it is trained with.
    """
    more = _recipe_flags(entries.get("flags"), base, training)
    flags = entries["flags"].entries if "flags" in entries else {}
    axes = [entries[name].items if name in entries else [None] for name in AXES]
    found = []
    for scheme, saliency, structure, sparsity in itertools.product(*axes):
        recipe = Recipe(
            scheme=scheme.text if scheme else None,
            saliency=saliency.text if saliency else None,
            structure=structure.text if structure else None,
            sparsity=sparsity.number if sparsity else None,
            **more,
        )
        try:
            found.append(_checked(recipe, stage, training, "from" in entries))
        except ValueError as error:
            axis = {"scheme": scheme, "saliency": saliency}
            axis |= {"structure": structure, "sparsity": sparsity}
            own = {f"prune-{name}": node for name, node in axis.items() if node}
            _blame(block, {**flags, **own}, str(error))
    return found


def _checked(recipe: Recipe, stage: str, training: Flags | None, chained: bool) -> Recipe:
    recipe = checked(recipe)
    if recipe.classes not in (None, *GRANULARITIES):
        read_rules(str(recipe.classes))
    for name in starts_of(stage, recipe):
        STAGES[name].check(recipe, chained)
    _check_penalty(recipe, training)
    return recipe


def _check_penalty(recipe: Recipe, training: Flags | None) -> None:
    """Raise ValueError where the criterion's penalty makes no sense with the recipe."""
    criterion = (training.get("criterion") if training else None) or ""
    for name, entry in PENALTIES.items():
        if training is None or not criterion.endswith(f"_{name}"):
            continue
        parser = ArgumentParser(exit_on_error=False, allow_abbrev=False)
        add_penalty_arguments(parser, name)
        try:
            given, _ = parser.parse_known_args(training.words(""))
        except ArgumentError as error:
            raise ValueError(f"{error.argument_name} in its training: {error.message}.") from None
        values = {flag.removeprefix("prune_"): v for flag, v in vars(given).items()}
        entry.settings(**{name: v for name, v in values.items() if v is not None}).check(recipe, [])


def _blame(block: Node, nodes: Mapping[str, Node], sentence: str) -> NoReturn:
    """Fail at the flag that the sentence names first, or at the block."""
    named = [flag for flag in nodes if f"--{flag} " in sentence]
    first = min(named, key=lambda flag: sentence.index(f"--{flag} "), default=None)
    (nodes[first] if first else block).fail(sentence)


def training_flags(node: Node | None) -> dict[str, str | None]:
    """The flags of a block that are fairseq-train's own, a criterion say."""
    if node is None:
        return {}
    own = {name: entry for name, entry in node.entries.items() if not is_recipe_flag(name)}
    if "task" in own:
        own["task"].fail("task belongs to a model's configuration, for all of its runs.")
    return flags_in(Node(node.file, node.path, node.line, own))


def recipe_keys() -> dict[str, "Field[Any]"]:
    """The flags of a recipe that a block may have, with the recipe's fields."""
    own = ("scheme", "saliency", "structure", "sparsity", "seed", "mask_from")
    return {f"prune-{f.name.replace('_', '-')}": f for f in fields(Recipe) if f.name not in own}


def _recipe_flags(node: Node | None, base: Path, training: Flags | None) -> dict[str, Any]:
    """The prune flags of a block, by the name of the recipe's field; files are made absolute."""
    known = recipe_keys()
    values: dict[str, Any] = {}
    mine = {} if node is None else {k: v for k, v in node.entries.items() if is_recipe_flag(k)}
    if node is not None:
        Node(node.file, node.path, node.line, mine).keys(tuple(known))
    for key, entry in mine.items():
        name = known[key].name
        if name in _UPDATES and entry.text.endswith("%"):
            values[name] = _share(entry, training)
        else:
            values[name] = entry.as_kind(str(known[key].type))
    for name, names in (("given", ()), ("classes", GRANULARITIES)):
        if name in values and values[name] not in names:
            values[name] = os.path.normpath(base / values[name])
    return values


def _share(entry: Node, training: Flags | None) -> int:
    """A percentage of the training's updates."""
    digits = entry.text[:-1]
    if not (digits.isascii() and digits.isdigit()) or not 0 < int(digits) <= 100:
        entry.fail(f"{entry.path} is {entry.text!r}; give updates, or 1% to 100% of the training.")
    unit, length = training.length if training else ("", 0.0)
    if unit != "update":
        entry.fail(f"{entry.path} is {entry.text!r} of a training without max-update.")
    return int(length) * int(digits) // 100
