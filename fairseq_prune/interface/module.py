"""Modules in memory: pruned at once, and held sparse in a training loop of one's own."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fairseq_prune.checkpoints import storage
from fairseq_prune.interface.flags import recipe_of
from fairseq_prune.masks.hold import Holder, Slot
from fairseq_prune.masks.state import Masks
from fairseq_prune.maths.structure import LAYERS, Units
from fairseq_prune.network.probing import Sample
from fairseq_prune.network.weights import of_module
from fairseq_prune.pruning.bound import axes_of, bound
from fairseq_prune.pruning.checks import checked
from fairseq_prune.pruning.pruner import Pruner, check_structure
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.pruning.summary import ClassRow, by_class, format_table
from fairseq_prune.pruning.weight_norm import check_norms
from fairseq_prune.saliency import Probe
from fairseq_prune.saliency.obd import NO_MOMENTS


class Pruning:
    """What :func:`prune` did to a module. Printed, it is its table of weight classes.

    Args:
        module: the module.
        masks: what is kept: bool, by parameter name.
        rows: by weight class, ``name``, ``tensors``, ``prunable``, ``removed`` and ``sparsity``.
    """

    def __init__(self, module: nn.Module, masks: Masks, rows: Sequence[ClassRow]) -> None:
        self.module, self.masks, self.rows = module, masks, rows

    @property
    def sparsity(self) -> float:
        """The fraction of the prunable weights that is removed."""
        return self.masks.sparsity()

    def __str__(self) -> str:
        return format_table(self.rows)

    def hold(self, optimizer: torch.optim.Optimizer) -> "Hold":
        """Holds the masks while an optimizer trains the module; see :func:`hold`.

        Args:
            optimizer: of the module's parameters.

        Raises ValueError where the module has other parameters by now.
        """
        return hold(self.module, self.masks, optimizer)


def prune(
    module: nn.Module,
    *,
    batches: Iterable[Any] = (),
    loss: Callable[[Any], Tensor] | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    **flags: Any,
) -> Pruning:
    """What was pruned of a module in memory, at once: its pruned weights become 0.

    Weights are matrices (parameters of two dimensions or more, embedding tables among them); a
    parameter that is shared counts once. Classes are those of fairseq's models where names are
    theirs, and otherwise a class for each parameter.

    Args:
        module: any module; its parameters are changed in place.
        batches, loss: for a saliency that needs data: batches, and the loss of one of them, summed
            over its examples.
        optimizer: for ``saliency="obd-adam"``: Adam, after some updates.
        flags: the prune flags by name: ``scheme="class-uniform", sparsity=0.8``.

    Raises ValueError, in a sentence, where the flags make no sense or do not fit the module.
    """
    recipe = _in_memory(checked(recipe_of(flags)))
    weights = of_module(module, recipe.resolved.classes, recipe.excluded)
    check_structure(recipe, weights)
    axes = axes_of(module, weights, recipe)
    recipe = bound(recipe, weights, axes)
    sample = _sample(module, list(batches), loss) if "data" in recipe.needs else None
    moments = _moments(optimizer, weights) if "adam" in recipe.needs else None
    probe = Probe(weights, None, recipe.resolved.seed, sample, moments, axes=axes)
    pruned = Pruner(recipe).update(recipe.target, probe)
    check_norms(weights, pruned.masks, recipe.scheme)
    Holder(pruned.masks, {name: w.tensor for name, w in weights.items()}).zero_weights_()
    classes = {name: weight.weight_class for name, weight in weights.items()}
    return Pruning(module, pruned.masks, by_class(pruned.masks, classes, pruned.extremes))


class Hold:
    """Keeps pruned weights, their gradients and an optimizer's moments at zero; made by
    :func:`hold`.
    """

    def __init__(self, holder: Holder, optimizer: torch.optim.Optimizer) -> None:
        self._holder, self._slots = holder, _slots(optimizer)
        before = optimizer.register_step_pre_hook(lambda *_: holder.zero_gradients_())
        self._hooks = [before, optimizer.register_step_post_hook(self._after)]

    def _after(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        self._holder.zero_weights_()
        self._holder.zero_moments_(self._slots, optimizer.state)

    def remove(self) -> None:
        """Let the weights grow again."""
        for hook in self._hooks:
            hook.remove()


def hold(module: nn.Module, masks: Masks, optimizer: torch.optim.Optimizer) -> Hold:
    """What holds masks while an optimizer trains a module: pruned weights are zeroed now, and
    after each step, with their moments.

    Args:
        module: the module.
        masks: of some of the module's parameters, by name.
        optimizer: what trains them.

    Raises ValueError where a mask is for no parameter of the module, or of another shape.
    """
    parameters = dict(module.named_parameters())
    storage.check_fits(masks, parameters, "masks")
    holder = Holder(masks, parameters)
    holder.zero_weights_()
    return Hold(holder, optimizer)


def _in_memory(recipe: Recipe) -> Recipe:
    once = recipe.schedule_entry().at_once and not recipe.start
    if recipe.scheme is None or recipe.mask_from or not once or "network" in recipe.needs:
        raise ValueError(
            "a module in memory is pruned by a scheme, at once, and by its weights, data or Adam's "
            "moments: give scheme, and leave out schedule, start, mask_from, and a saliency that "
            "needs a copy of the network. (hold takes masks.)"
        )
    groups = recipe.groups()
    if isinstance(groups, Units) and LAYERS in groups.kinds:
        raise ValueError(
            "structure layers is for fairseq's Transformers, in fairseq-train or in a checkpoint: "
            "what a module does without one of its layers only its own class can say."
        )
    return recipe


def _sample(module: nn.Module, batches: list[Any], loss: Callable[[Any], Tensor] | None) -> Sample:
    if loss is None or not batches:
        raise ValueError("this saliency scores on data: give batches, and loss, that of a batch.")
    own = loss

    def summed(batch: Any, temperature: float = 1.0) -> tuple[Tensor, float]:
        if temperature != 1.0:
            raise ValueError("grasp divides logits, which a loss of a batch does not show.")
        return own(batch), 1.0

    return Sample(module, batches, summed)


def _slots(optimizer: torch.optim.Optimizer) -> list[Slot]:
    return [Slot(p, p) for group in optimizer.param_groups for p in group["params"]]


def _moments(optimizer: torch.optim.Optimizer | None, weights: Mapping[str, Any]) -> dict[str, Any]:
    state = {} if optimizer is None else optimizer.state
    found = {name: state.get(w.tensor, {}).get("exp_avg_sq") for name, w in weights.items()}
    if any(value is None for value in found.values()):
        raise ValueError(NO_MOMENTS)
    return found
