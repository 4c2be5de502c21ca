"""A checkpoint opened to be pruned or looked at: its weights, their classes and its masks."""

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from fairseq_prune.checkpoints import storage
from fairseq_prune.checkpoints.mask_layout import AsLoaded, as_loaded, given_masks
from fairseq_prune.checkpoints.record import Record, read_record
from fairseq_prune.checkpoints.steps import STEPS_KEY
from fairseq_prune.checkpoints.zeroed_copy import EMA
from fairseq_prune.masks.state import Masks
from fairseq_prune.network.weights import (
    Ties,
    Weight,
    Weights,
    of_module,
    of_state_dict,
    with_values,
)


@dataclass(frozen=True)
class Layout:
    """What a checkpoint's model is, beside its tensors.

    Args:
        model: without values; None where it cannot be built here.
        ties: the names of each tensor that has several.
        stored: its tensors as they are in the file.
        load: what the model's class makes of these.
    """

    model: nn.Module | None = None
    ties: Ties = ()
    stored: Mapping[str, Any] = field(default_factory=dict)
    load: AsLoaded | None = None


@dataclass(frozen=True)
class Opened:
    """What a checkpoint file holds. Its tensors are mapped from the file, not read.

    Args:
        path: the file, as messages name it.
        content: all of it, as its model's class reads it; tied tensors are one.
        weights: its prunable weights.
        record: what it says of its pruning, or None.
        size: of the file when it was opened, in bytes; it may be replaced by what is made of it.
    """

    path: str
    content: Mapping[str, Any]
    weights: Mapping[str, Weight]
    record: Record | None
    size: int = 0
    layout: Layout = Layout()

    @property
    def masks(self) -> Masks | None:
        """The masks it carries, or None."""
        return None if self.record is None else self.record.masks

    @property
    def classes(self) -> dict[str, str]:
        """Weight class by weight name."""
        return {name: w.weight_class for name, w in self.weights.items()}

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The weights themselves by name."""
        return {name: w.tensor for name, w in self.weights.items()}

    def given_masks(self, origin: str, flag: str) -> Masks:
        """The masks of another checkpoint for this one; see checkpoints/mask_layout.py."""
        return given_masks(origin, self.weights, self.layout.load, flag)

    def dense_masks(self) -> Masks:
        """Masks that keep every weight."""
        fixed = {name: w.fixed for name, w in self.weights.items() if w.fixed}
        ones = {n: torch.ones(t.shape, dtype=torch.bool) for n, t in self.tensors.items()}
        return Masks(ones, fixed)


def opened_of(
    path: str,
    content: Mapping[str, Any],
    layout: Layout,
    classes: str | None = None,
    exclude: Sequence[str] = (),
) -> Opened:
    """A checkpoint that has been read.

    Args:
        content: all of it, as its model's class reads it.
        classes: granularity or rule file; None for the classes that the checkpoint was pruned
            with, and the paper's where it was not.
        exclude: see :func:`fairseq_prune.network.weights.find`.

    Raises ValueError where the file cannot be used, or its masks are not for its own model.
    """
    record = read_record(content, path)
    masks = None if record is None else record.masks
    state = {str(n): v for n, v in content["model"].items() if isinstance(v, Tensor)}
    weights: Weights
    if layout.model is None:
        weights = of_state_dict(state, classes or "paper", exclude, layout.ties)
    else:
        named = of_module(layout.model, classes or "paper", exclude, frozen=masks or ())
        try:
            weights = with_values(named, state)
        except ValueError as error:
            raise storage.CheckpointError(f"{path} cannot be used: {error}.") from None
    if record is not None and masks is not None:
        if layout.load is not None:
            masks = as_loaded(masks, weights, layout.stored, layout.load)
        storage.check_fits(masks, state, path)
        record = replace(record, masks=masks)
    if classes is None and record is not None:
        weights = _classed(weights, record.classes)
    return Opened(path, content, weights, record, os.path.getsize(path), layout)


def with_model(opened: Opened, model: Mapping[str, Tensor], path: str) -> Opened:
    """The checkpoint with another model of the same kind in it, dense; ``path`` names it.

    Averages of the old model are left out.

    Args:
        model: its tensors, tied ones as one.
    """
    extra = dict(opened.content.get("extra_state") or {})
    extra = {key: value for key, value in extra.items() if not key.startswith("ema")}
    task_state = dict(opened.content.get("task_state") or {})
    for ours in (storage.PRUNE_KEY, STEPS_KEY):
        task_state.pop(ours, None)
    content = {
        **opened.content, "model": dict(model), "extra_state": extra, "task_state": task_state
    }  # fmt: skip
    weights = with_values(opened.weights, model)
    return Opened(path, content, weights, None, opened.size, opened.layout)


def _classed(weights: Weights, classes: Mapping[str, str]) -> dict[str, Weight]:
    """The weights in these classes, where they are named, and in their own where not."""
    return {
        name: replace(w, weight_class=classes.get(name, w.weight_class))
        for name, w in weights.items()
    }


def with_states(
    content: Mapping[str, Any], change: Callable[[Mapping[str, Any]], Any]
) -> dict[str, Any]:
    """A copy of a checkpoint, its model and averages changed, without the optimizer's state."""
    result = {key: value for key, value in content.items() if key != "last_optimizer_state"}
    result["model"] = change(content["model"])
    if isinstance(content.get("extra_state"), Mapping):
        result["extra_state"] = copy.copy(content["extra_state"])
        for key in EMA:
            if isinstance(content["extra_state"].get(key), Mapping):
                result["extra_state"][key] = change(content["extra_state"][key])
    return result


def not_begun(criterion: str = "", optimizer: str = "", updates: int = 0) -> dict[str, Any]:
    """What fairseq 0.12.2 asks of a file beside model and settings: of a run that has not begun."""
    history = {
        "criterion_name": criterion,
        "optimizer_name": optimizer,
        "lr_scheduler_state": {},
        "num_updates": updates,
    }
    place = {"epoch": 1, "iterations_in_epoch": 0, "shuffle": True}
    return {
        "optimizer_history": [history],
        "task_state": {},
        "extra_state": {"train_iterator": place},
    }


def model_states(content: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The model's tensors wherever a checkpoint keeps them: the model itself and its averages."""
    extra = content.get("extra_state")
    extra = extra if isinstance(extra, Mapping) else {}
    places = {
        "model": content.get("model"),
        "EMA": extra.get("ema"),
        "EMA (fp32)": extra.get("ema_fp32_params"),
    }
    return {place: state for place, state in places.items() if isinstance(state, Mapping)}
