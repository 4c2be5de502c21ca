"""The recipes of a block of the grid: the product of its axes, each one checked."""

import itertools
import os
from collections.abc import Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

from fairseq_prune.checkpoints.apply import check_recipe, times_of
from fairseq_prune.network.classes import GRANULARITIES, read_rules
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.study.document import Node

AXES = ("schemes", "saliencies", "structures", "sparsities")


def recipes_of(
    block: Node, entries: Mapping[str, Node], stages: tuple[str, ...], base: Path
) -> list[Recipe]:
    """Every recipe of a block; raises ValueError where one makes no sense."""
    more = _recipe_flags(entries.get("flags"), base)
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
            recipe = recipe.check()
            if recipe.classes not in (None, *GRANULARITIES):
                read_rules(str(recipe.classes))
            if needs_mask(stages, recipe):
                check_recipe(recipe, "DATA" if recipe.looks else None)
        except ValueError as error:
            axis = {"scheme": scheme, "saliency": saliency}
            axis |= {"structure": structure, "sparsity": sparsity}
            own = {f"prune-{name}": node for name, node in axis.items() if node}
            _blame(block, {**flags, **own}, str(error))
        found.append(recipe)
    return found


def _blame(block: Node, nodes: Mapping[str, Node], sentence: str) -> NoReturn:
    """Fail at the flag that the sentence names first, or at the block."""
    named = [flag for flag in nodes if f"--{flag} " in sentence]
    first = min(named, key=lambda flag: sentence.index(f"--{flag} "), default=None)
    (nodes[first] if first else block).fail(sentence)


def is_timed(recipe: Recipe) -> bool:
    """Whether the recipe prunes while a model trains."""
    one_shot = recipe.schedule in (None, "one-shot")
    return not one_shot or bool(times_of(recipe))


def needs_mask(stages: Collection[str], recipe: Recipe) -> bool:
    """Whether one of the stages starts from the trained model pruned by ``apply``."""
    return bool({"pruned", "scratch"} & set(stages)) or (
        "retrained" in stages and not is_timed(recipe)
    )


def _recipe_flags(node: Node | None, base: Path) -> dict[str, Any]:
    """More prune flags of a block, by the name of the recipe's field; files are made absolute."""
    own = ("scheme", "saliency", "structure", "sparsity", "seed", "mask_from")
    kinds = {f.name: str(f.type) for f in fields(Recipe) if f.name not in own}
    known = {f"prune-{name.replace('_', '-')}": name for name in kinds}
    values: dict[str, Any] = {}
    for key, entry in (node.keys(tuple(known)) if node else {}).items():
        values[known[key]] = entry.as_kind(kinds[known[key]])
    for name, names in (("given", ()), ("classes", GRANULARITIES)):
        if name in values and values[name] not in names:
            values[name] = os.path.normpath(base / values[name])
    return values
