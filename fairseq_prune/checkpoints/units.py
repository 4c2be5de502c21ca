"""The units that a recipe prunes, found in a checkpoint."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from fairseq_prune.checkpoints.checkpoint import Opened
from fairseq_prune.maths.structure import Units
from fairseq_prune.network.axes import check_layers, choose_axes, find_axes, heads_in
from fairseq_prune.network.options import model_options
from fairseq_prune.network.units import Axes, Axis
from fairseq_prune.network.weights import Weights, without
from fairseq_prune.pruning.groups import Groups, groups_of
from fairseq_prune.pruning.recipe import Recipe


def axes_in(source: Opened, recipe: Recipe) -> Axes | None:
    """The axes that a recipe prunes in a checkpoint; None where it prunes no units.

    Raises ValueError where the model has none of them.
    """
    structure = recipe.groups()
    if not isinstance(structure, Units):
        return None
    tensors, classes = tensors_in(source.content["model"]), recipe.resolved.classes
    axes, weights = _axes(source, tensors), _asked(source.weights, recipe)
    chosen = choose_axes(axes, structure.kinds, weights, tensors, classes)
    check_layers(chosen, model_options(source.content))
    return chosen


def _asked(weights: Weights, recipe: Recipe) -> Weights:
    """The weights that a recipe does not exclude."""
    try:
        return without(weights, recipe.excluded)
    except ValueError:  # they were left out when the file was opened, or have other names now
        return weights


def every_axis(source: Opened) -> list[Axis]:
    """All axes of a checkpoint's model."""
    return _axes(source, tensors_in(source.content["model"]))


def _axes(source: Opened, tensors: Mapping[str, Tensor]) -> list[Axis]:
    return find_axes(tensors, heads_in(model_options(source.content), tensors))


def groups_in(source: Opened, recipe: Recipe) -> Groups:
    """What a recipe has ranked in a checkpoint; the classes are the record's to say."""
    axes = axes_in(source, replace(recipe, classes="tensor"))  # no file of rules is read
    return groups_of(recipe.groups(), source.weights, axes)


def tensors_in(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """A state dict's tensors."""
    return {str(name): value for name, value in state.items() if isinstance(value, Tensor)}
