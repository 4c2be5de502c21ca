"""The Python interface: checkpoints and live modules, pruned in a few lines.

What ``fairseq_prune.__all__`` names is public and stays; the rest of the package may change.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fairseq_prune.checkpoints import storage
from fairseq_prune.checkpoints.apply import Applied, Views, apply_recipe, check_recipe
from fairseq_prune.checkpoints.checkpoint import Opened
from fairseq_prune.checkpoints.inspection import View, view
from fairseq_prune.masks.hold import Holder, Slot
from fairseq_prune.masks.state import Masks
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


class Checkpoint:
    """A fairseq checkpoint, to be looked at; pruned, it can be saved.

    Printed, it is its table of weight classes.

    Args:
        source: the opened file.
        applied: what was pruned of it, or None.
    """

    def __init__(self, source: Opened, applied: Applied | None = None) -> None:
        self._source, self._applied = source, applied

    @property
    def path(self) -> str:
        """The file."""
        return self._source.path

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """The weights that can be pruned, by name; their values are those in the file."""
        return self._source.tensors

    @property
    def classes(self) -> Mapping[str, str]:
        """The weight class of each weight, by name."""
        return self._source.classes

    @property
    def masks(self) -> Masks | None:
        """What is kept: bool, by weight name; None where nothing is pruned."""
        return self._source.masks if self._applied is None else self._applied.masks

    @property
    def sparsity(self) -> float:
        """The fraction of the prunable weights that is removed."""
        return 0.0 if self.masks is None else self.masks.sparsity()

    @property
    def recipe(self) -> dict[str, Any] | None:
        """How it was pruned: the values of the prune flags in force; None where it was not."""
        record = self._source.record if self._applied is None else self._applied.record
        return None if record is None else record.recipe.settings

    @property
    def rows(self) -> Sequence[ClassRow]:
        """By weight class: how many weights there are, and how many of them are removed."""
        return self._view().rows

    def __str__(self) -> str:
        return format_table(self.rows)

    def _view(self) -> View:
        if self._applied is None:
            return view(self._source, self._source.record)
        return view(self._source, self._applied.record, fresh=True)

    def prune(self, data: str | None = None, **flags: Any) -> "Checkpoint":
        """The checkpoint pruned, as ``fairseq-prune apply`` does it; nothing is written yet.

        Args:
            data: binarised data, for a saliency that looks at more than the weights.
            flags: the prune flags by name: ``scheme="class-blind", sparsity=0.8``.

        Raises ValueError, in a sentence, where the flags make no sense or do not fit the model.
        """
        from fairseq_prune.tasks.opening import open_checkpoint
        from fairseq_prune.tasks.own import Given

        if self._applied is not None:
            raise ValueError(f"{self.path} is pruned and not saved: save it, and open that file.")
        recipe = check_recipe(_recipe(flags), data)
        source = open_checkpoint(self.path, recipe.resolved.classes, recipe.excluded)
        looks = Views()
        if recipe.looks:
            from fairseq_prune.tasks.offline import views_of  # fairseq takes seconds to load

            looks = views_of(self.path, Given(data=str(data)), recipe, lambda *_: None)
        return Checkpoint(source, apply_recipe(source, recipe, looks))

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Write the pruned checkpoint whole or not at all, and open it once.

        Raises ValueError where nothing was pruned, the file is there, or it cannot be written.
        """
        from fairseq_prune.tasks.opening import check_written

        if self._applied is None:
            raise ValueError(f"{self.path} was not pruned here: there is nothing to save.")
        if Path(path).exists() and not overwrite:
            raise ValueError(f"{path} exists; say overwrite=True to replace it.")
        content = self._applied.content(lambda _: None)

        def look(file: str) -> None:
            check_written(file)

        storage.save(content, path, look=look)


def open_checkpoint(path: str | Path, user_dir: str | None = None) -> Checkpoint:
    """The fairseq checkpoint at ``path``; only tensors and plain values are read from it.

    Args:
        user_dir: a fairseq plugin that its model needs.

    Raises ValueError where the file cannot be used.
    """
    from fairseq_prune.tasks import opening

    opening.import_plugin(user_dir)
    return Checkpoint(opening.open_checkpoint(str(path)))


class Pruning:
    """What :func:`prune` did to a module. Printed, it is its table of weight classes.

    Args:
        module: the module.
        masks: what is kept: bool, by parameter name.
        rows: by weight class, how many weights there are, and how many are removed.
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
        """See :func:`hold`."""
        return hold(self.module, self.masks, optimizer)


def prune(
    module: nn.Module,
    *,
    batches: Iterable[Any] = (),
    loss: Callable[[Any], Tensor] | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    **flags: Any,
) -> Pruning:
    """Prune a module in memory, at once: its pruned weights become 0.

    Weights are matrices (parameters of two dimensions or more, embedding tables among them); a
    parameter that is shared counts once. Classes are those of fairseq's models where names are
    theirs, and otherwise a class for each parameter.

    Args:
        batches, loss: for a saliency that needs data: batches, and the loss of one of them, summed
            over its examples.
        optimizer: for ``saliency="obd-adam"``: Adam, after some updates.
        flags: the prune flags by name: ``scheme="class-uniform", sparsity=0.8``.

    Raises ValueError, in a sentence, where the flags make no sense or do not fit the module.
    """
    recipe = _in_memory(checked(_recipe(flags)))
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
    """Keeps pruned weights, their gradients and an optimizer's moments at zero, until removed."""

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
    """Hold masks while an optimizer trains a module: the weights are zeroed now and at each step.

    Args:
        masks: of some of the module's parameters, by name.

    Raises ValueError where a mask is for no parameter of the module.
    """
    parameters = dict(module.named_parameters())
    storage.check_fits(masks, parameters, "masks")
    holder = Holder(masks, parameters)
    holder.zero_weights_()
    return Hold(holder, optimizer)


def _recipe(flags: Mapping[str, Any]) -> Recipe:
    try:
        return Recipe(**flags)
    except TypeError:
        known = set(Recipe.__dataclass_fields__)
        odd = sorted(set(flags) - known)
        raise ValueError(
            f"{', '.join(odd)} is no prune flag; they are {', '.join(sorted(known))}."
        ) from None


def _in_memory(recipe: Recipe) -> Recipe:
    once = recipe.schedule_entry().at_once and not recipe.start
    if recipe.scheme is None or recipe.mask_from or not once or "network" in recipe.needs:
        raise ValueError(
            "a module in memory is pruned by a scheme, at once, and by its weights, data or Adam's "
            "moments: give scheme, and leave out schedule, start, mask_from, and a saliency that "
            "needs a copy of the network. (hold takes masks.)"
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
