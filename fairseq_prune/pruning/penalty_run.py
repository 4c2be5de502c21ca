"""A penalty at work: what it does after each update, and what it remembers."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from fairseq_prune.masks.state import Masks
from fairseq_prune.maths.penalty import Growth, group_step_, shrink_
from fairseq_prune.network.weights import Weight, Weights
from fairseq_prune.pruning.notes import Notes
from fairseq_prune.pruning.penalty_flags import GroupLasso, Growing, Penalty, settings_of
from fairseq_prune.pruning.pruner import Pruned, find_extremes
from fairseq_prune.pruning.recipe import Recipe

logger = logging.getLogger("fairseq_prune")


@dataclass(frozen=True)
class Optimised:
    """A weight as the optimizer updates it.

    Args:
        weight: the model's weight.
        tensor: what is optimised, of the weight's shape: the weight itself or its fp32 master.
        rate: the learning rate of the update that was just made.
    """

    weight: Weight
    tensor: Tensor
    rate: float


class Penalised(Protocol):
    """A penalty at work."""

    settings: dict[str, Any]
    value: float  # the penalty that the last update was followed by

    def begin(self, step: int, weights: Weights) -> None:
        """Training begins, or goes on, after `step` updates."""

    def act_(self, step: int, parts: Iterable[Optimised]) -> None:
        """Shrink weights after the update that completes `step`; a second call does nothing."""

    def is_time_to_choose(self, step: int) -> bool:
        """Whether the weights to be removed are to be chosen now."""

    def choose(self, pruned: Pruned) -> None:
        """These are the weights to be removed."""

    def release(self) -> Pruned | None:
        """The weights that were chosen; they are removed now, so that it ends."""

    def pack(self) -> dict[str, Any]:
        """Settings and memory as plain values and packed masks."""

    def take_up(self, stored: Mapping[str, Any], origin: str) -> None:
        """The memory that `pack` gave; raises ValueError, naming the file, where it is damaged."""


class GrowingPenalty:
    """Growing regularisation at work."""

    def __init__(self, settings: Growing, recipe: Recipe) -> None:
        self.settings = settings_of(settings)
        self.value = 0.0
        self._flags, self._until = settings, recipe.timetable().start
        self._since: int | None = None
        self._last: int | None = None  # step of the last action
        self._chosen: Pruned | None = None
        self._growth: Growth | None = None
        self._where: dict[str, Tensor] = {}  # bool: under the penalty now

    def begin(self, step: int, weights: Weights) -> None:
        """The growth begins at the step at which this is called for the first time in a run."""
        self._since = step if self._since is None else self._since
        if self._since >= self._until:
            logger.warning(
                "training begins after %d updates, and --prune-start is %d: no penalty grows "
                "before the weights are removed.", self._since, self._until,
            )  # fmt: skip
        if max(self._since, step) >= self._until:  # begun too late, or over
            return
        self._growth = self._flags.growth(self._since, self._until)
        self.value = self._growth.at(step)
        devices = {name: w.tensor.device for name, w in weights.items()}
        removed = self._chosen.masks if self._chosen else _everything(weights)
        self._where = {name: ~mask.to(devices[name]) for name, mask in removed.items()}

    def act_(self, step: int, parts: Iterable[Optimised]) -> None:
        """Shrinks the chosen weights (GReg-2, first half: all)."""
        if step == self._last:
            return
        self._last, self.value = step, 0.0 if self._growth is None else self._growth.at(step)
        if self.value:
            for part in parts:
                factor = max(0.0, 1.0 - part.rate * self.value)
                if part.weight.name in self._where:
                    shrink_(part.tensor, factor, self._where[part.weight.name])

    def is_time_to_choose(self, step: int) -> bool:
        """At the start, or half way (GReg-2)."""
        if self._growth is None or self._chosen is not None:
            return False
        return self._growth.chosen_at <= step < self._growth.until

    def choose(self, pruned: Pruned) -> None:
        """From here on the penalty is on these alone."""
        self._chosen = pruned
        self._where = {
            name: ~pruned.masks[name].to(where.device) for name, where in self._where.items()
        }

    def release(self) -> Pruned | None:
        """What was chosen, or None where training began after --prune-start."""
        chosen, self._chosen, self._growth, self._where = self._chosen, None, None, {}
        return chosen

    def pack(self) -> dict[str, Any]:
        """The settings, when it began, and what is chosen and not removed yet."""
        chosen = self._chosen
        return {
            "settings": self.settings,
            "since": self._since,
            "chosen": None if chosen is None else chosen.masks.pack(),
            "notes": {} if chosen is None else chosen.notes.pack(),
        }

    def take_up(self, stored: Mapping[str, Any], origin: str) -> None:
        """Goes on where the file stopped."""
        try:
            self._since = None if stored["since"] is None else int(stored["since"])
            packed, notes = stored["chosen"], Notes.unpack(stored["notes"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"What {origin} says of its penalty is damaged ({type(error).__name__}: {error})."
            ) from None
        if packed is not None:
            self._chosen = Pruned(Masks.unpack(packed, origin), notes=notes)


class LassoPenalty:
    """Group lasso at work: nothing to choose, nothing to remember."""

    def __init__(self, settings: GroupLasso, recipe: Recipe) -> None:
        self.settings = settings_of(settings)
        self.value = 0.0
        self._strength, self._until = settings.penalty_strength, recipe.timetable().last
        self._structure = settings.groups(recipe)
        self._last: int | None = None

    def begin(self, step: int, weights: Weights) -> None:
        """In force until the last pruning (Narang et al. switch it off there)."""
        self.value = self._strength if step < self._until else 0.0

    def act_(self, step: int, parts: Iterable[Optimised]) -> None:
        """The proximal step."""
        self.value = self._strength if step <= self._until else 0.0
        if not self.value or step == self._last:
            return
        self._last = step
        for part in parts:
            threshold = part.rate * self._strength
            group_step_(part.tensor, self._structure, threshold, part.weight.fixed)

    def is_time_to_choose(self, step: int) -> bool:
        """Never: pruning chooses when it prunes."""
        return False

    def choose(self, pruned: Pruned) -> None:
        """Not called."""

    def release(self) -> Pruned | None:
        """Nothing was chosen."""
        return None

    def pack(self) -> dict[str, Any]:
        """The settings."""
        return {"settings": self.settings}

    def take_up(self, stored: Mapping[str, Any], origin: str) -> None:
        """Nothing to take up."""


def at_work(penalty: Penalty, recipe: Recipe) -> Penalised:
    """The penalty, ready for a run with this recipe."""
    if isinstance(penalty, Growing):
        return GrowingPenalty(penalty, recipe)
    return LassoPenalty(penalty, recipe)


def size_ratio(weights: Weights, masks: Mapping[str, Tensor]) -> float:
    """The root mean square of the weights that masks remove, over that of those they keep."""
    squares, counts = [0.0, 0.0], [0, 0]
    for name, mask in masks.items():
        values = weights[name].tensor.detach().double().square()
        kept = mask.to(values.device)
        squares[0] += float(values[~kept].sum())
        squares[1] += float(values[kept].sum())
        counts[0] += int((~kept).sum())
        counts[1] += int(kept.sum())
    if not (counts[0] and squares[1]):
        return 0.0
    return float((squares[0] / counts[0] / (squares[1] / counts[1])) ** 0.5)


def _everything(weights: Weights) -> dict[str, Tensor]:
    """Masks that keep the pad rows alone."""
    masks = {}
    for name, weight in weights.items():
        flat = torch.zeros(weight.tensor.numel(), dtype=torch.bool)
        if weight.fixed is not None:
            flat[slice(*weight.fixed)] = True
        masks[name] = flat.reshape(weight.tensor.shape)
    return masks


def choose(penalty: Penalised, step: int, until: int, weights: Weights, pruned: Pruned) -> None:
    """Tell the penalty which weights will be removed, and the log.

    Args:
        step: updates completed.
        until: the step at which they will be removed.
        pruned: what a one-shot pruning would leave now.
    """
    penalty.choose(pruned)
    logger.info(
        "chosen at update %d, to be removed at update %d: %r; their root mean square is %.2g of "
        "that of the others",
        step, until, pruned.masks, size_ratio(weights, pruned.masks),
    )  # fmt: skip


def release(penalty: Penalised | None, weights: Weights) -> Pruned | None:
    """What was chosen, to be removed now; None where a scheme is to choose as always."""
    pruned = None if penalty is None else penalty.release()
    if pruned is None:
        return None
    logger.info(
        "the root mean square of the chosen weights is %.2g of that of the others now",
        size_ratio(weights, pruned.masks),
    )
    masks = {name: mask.to(weights[name].tensor.device) for name, mask in pruned.masks.items()}
    return replace(pruned, extremes=find_extremes(weights, masks))
