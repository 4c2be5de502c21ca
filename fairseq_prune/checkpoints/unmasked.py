"""What has no mask: a checkpoint without any, and why; a matrix that could be pruned."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from fairseq_prune.checkpoints.steps import EXPORTED, SHRUNK, Step, read_steps
from fairseq_prune.checkpoints.widths import STOCK
from fairseq_prune.masks.state import Masks
from fairseq_prune.maths.structure import Units
from fairseq_prune.network.axes import free_axes, matrices
from fairseq_prune.network.options import architecture
from fairseq_prune.network.units import Axis
from fairseq_prune.network.weights import Weights, without
from fairseq_prune.pruning.recipe import Recipe

_NOTE = "pruned"  # what an export keeps of the pruning


def without_masks(content: Mapping[str, Any], path: str) -> str:
    """A sentence for whoever expects masks in the checkpoint at ``path``: where they are."""
    made = made_by(content, path)
    if made.startswith("shrink"):
        return (
            f"{path} is what {made}: the pruned units are cut out, and no mask is left to verify; "
            "verify the file that it was cut out of."
        )
    if made:
        return (
            f"{path} is what {made}, without masks: verify the file that it was exported from, or "
            "compare it with --masks-from that file."
        )
    return (
        f"{path} holds no masks: it was never pruned, or all that was pruned is cut out by shrink, "
        "or it was trained further without --user-dir fairseq_prune, which drops them; compare it "
        "with --masks-from PRUNED."
    )


def trained_dense(
    weights: Weights,
    masks: Masks,
    recipe: Recipe,
    network: Callable[[], tuple[Sequence[Axis], Mapping[str, Tensor]]],
) -> str | None:
    """A sentence that names the matrices that could be pruned and have no mask, if any have none.

    Args:
        weights: all that can be pruned, those that the recipe excludes among them.
        recipe: by which the masks were made; units lie in some of the matrices only.
        network: all axes and tensors of the model; asked for where units were pruned.
    """
    try:
        expected = without(weights, recipe.excluded)
    except ValueError:  # of names that are other ones now
        expected = dict(weights)
    structure = recipe.groups()
    if isinstance(structure, Units):
        axes, tensors = network()
        reached = free_axes(axes, structure.kinds, expected, tensors)
        own = {name for axis in reached for name in matrices(axis, tensors)}
        expected = {name: weight for name, weight in expected.items() if name in own}
    loose = [name for name in expected if name not in masks]
    if not loose:
        return None
    return (
        f"without masks: {', '.join(loose)}, which could be pruned (frozen when the masks were "
        "made, or not in the model then)"
    )


def made_with(recipe: Recipe, chose: Recipe | None) -> Recipe:
    """A record's recipe with the structure of the one that chose the masks, if that is known.

    A run that holds a file's masks says what it excludes, and not in which groups they were chosen.
    """
    return recipe if chose is None else replace(recipe, structure=chose.structure)


def made_by(content: Mapping[str, Any], path: str) -> str:
    """Which command has made a file without masks, and of which other; "" where none has.

    Raises CheckpointError where the steps in the file are damaged.
    """
    steps = read_steps(content, path)
    kinds = [step.kind for step in steps]
    if kinds[-1:] == [EXPORTED] or isinstance(content.get(_NOTE), Mapping):
        return "export has made" + _of(steps[-1:])
    if SHRUNK in kinds or architecture(content) in STOCK:
        return "shrink has left" + _of([step for step in steps if step.kind == SHRUNK])
    return ""


def _of(steps: Sequence[Step]) -> str:
    return f" of {steps[-1].file}" if steps and steps[-1].file else ""
