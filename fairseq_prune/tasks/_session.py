"""One training run's pruning: its recipe, its masks, and when they change."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from fairseq_prune.checkpoints.mask_layout import given_masks
from fairseq_prune.checkpoints.record import Record
from fairseq_prune.masks.hold import Holder
from fairseq_prune.masks.state import Masks
from fairseq_prune.network.axes import on_axes
from fairseq_prune.network.units import Axes
from fairseq_prune.network.weights import Weight, of_module
from fairseq_prune.pruning.bound import axes_of, bound, check_shrinks
from fairseq_prune.pruning.penalty_run import Penalised
from fairseq_prune.pruning.pruner import (
    Extremes,
    Pruned,
    Pruner,
    check_structure,
    find_extremes,
    merge_extremes,
)
from fairseq_prune.pruning.reached import reached
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.pruning.step import act
from fairseq_prune.pruning.summary import ClassRow, by_class
from fairseq_prune.pruning.weight_norm import check_norms
from fairseq_prune.saliency import Probe
from fairseq_prune.tasks._averages import Averages
from fairseq_prune.tasks._invariant import check_copies, check_weights, zero_what_grew
from fairseq_prune.tasks._optimizer import Copies, parts_of, trained_parameters
from fairseq_prune.tasks._penalty import choose, release
from fairseq_prune.tasks._probe import Sampler, probe_of
from fairseq_prune.tasks._ranks import check_same, from_first_rank, several
from fairseq_prune.tasks._report import report, report_rules
from fairseq_prune.tasks._start import Start, check_same_flags, stored_in
from fairseq_prune.tasks._stored_masks import loading, take_masks
from fairseq_prune.tasks._trail import Trail

logger = logging.getLogger("fairseq_prune")


class Session:
    """What the task remembers between fairseq's hooks.

    Args:
        recipe: the flags, checked.
        override: --prune-override.
        in_step: whether the weights of all ranks are the same after each update.
    """

    def __init__(self, recipe: Recipe, override: bool, in_step: bool = True) -> None:
        self.recipe = recipe
        self.override = override
        self.in_step = in_step
        self.model: nn.Module | None = None
        self.settings: Any = None  # the model's own
        self.weights: dict[str, Weight] = {}
        self.axes: Axes | None = None  # where units are pruned
        self.holder: Holder | None = None
        self.rows: list[ClassRow] = []
        self.acted: int | None = None  # step of the last pruning
        self.extremes: Extremes = {}
        self.notes: Mapping[str, Any] = {}
        self.penalty: Penalised | None = None  # the criterion's
        self.averages = Averages()
        self._copies = Copies()
        self._update: int | None = None  # updates completed; None before this process did one
        self.sampler: Sampler | None = None
        self.trail = Trail()
        self.resumed: str | None = None  # the file, until its optimizer state has been used
        self.has_moved = False  # the sparsity, since scores began: see _scores.py

    def check(self, model: nn.Module, start: Start, settings: Any = None) -> None:
        """Refuse early what cannot work: a damaged file, flags or masks that do not fit.

        Args:
            settings: the model's own.
        """
        self.settings = settings
        if start.by_rank:
            stored_in(start)
        else:
            from_first_rank(lambda: stored_in(start) is None)
        if self.recipe.active:
            weights = self._find(model)
            check_structure(self.recipe, weights)
            axes = axes_of(model, weights, self.recipe)
            report_rules(self.recipe, model, weights, axes)
            self.recipe = bound(self.recipe, weights, axes)
            if self.recipe.mask_from:
                from_first_rank(lambda: start.resumes or self._given_masks(model, weights).digest())

    def _find(self, model: nn.Module) -> dict[str, Weight]:
        settings = self.recipe.settings
        return of_module(model, settings["classes"], self.recipe.excluded)

    def _given_masks(self, model: nn.Module, weights: Mapping[str, Weight]) -> Masks:
        return given_masks(str(self.recipe.mask_from), weights, loading(model, self.settings))

    def begin(self, model: nn.Module, start: Start) -> None:
        """Attach to the model that will be trained, and take up the masks it starts with."""
        self.model = model
        if start.by_rank:
            stored = stored_in(start)
        else:  # rank 0 decides, as for fairseq
            start = Start(*from_first_rank(lambda: (start.path, start.resumes)))
            stored = from_first_rank(lambda: stored_in(start))
        given = self.recipe.mask_from
        self.trail = Trail.begin(start, self.recipe)
        if stored is not None:
            self._take_up(stored, model, start)
        self.resumed = start.path if start.resumes else None
        self.compare(f"of {start.path}")
        if not self.recipe.active and self.holder is None:
            return
        self.weights = self.weights or self._find(model)
        self.axes = axes_of(model, self.weights, self.recipe)
        # a run that goes on has them in its own masks
        if given and (self.holder is None or not start.resumes or self.override):
            packed = from_first_rank(lambda: self._given_masks(model, self.weights).pack())
            masks = Masks.unpack(packed, given)
            if self.holder is not None:
                masks = self.holder.masks() & masks
            extremes = find_extremes(self.weights, self._on_device(masks))
            self._set(Pruned(masks, extremes), step=None)
            logger.info("holding the masks of %s: %r", given, masks)
        if self.holder is not None and self.recipe.scheme is not None and self.acted is None:
            origin = given or str(start.path)
            check_shrinks(self.recipe, self.weights, self.axes, self.holder.masks(), origin)

    def _take_up(self, stored: dict[str, Any], model: nn.Module, start: Start) -> None:
        if self.override and not self.recipe.active:
            logger.warning("%s was pruned; --prune-override: training dense.", start.path)
            self.has_moved = True
            return
        settings = self.penalty.settings if self.penalty else None
        changed = check_same_flags(stored, start, self.recipe, settings, self.override)
        if not self.recipe.active:  # retraining a pruned model: hold what the file says
            kept = {k: stored["config"].get(k) for k in ("classes", "exclude")}
            self.recipe = Recipe(mask_from=start.path, **kept)
        if self.penalty is not None and start.resumes and not changed:
            self.penalty.take_up(stored["penalty"], str(start.path))
        if stored.get("masks") is None:
            self.weights = self._find(model)
            return
        load = loading(model, self.settings)
        self.weights, masks = take_masks(stored["masks"], start, model, self.recipe, load)
        self.extremes, self.notes = stored.get("extremes", {}), stored.get("notes", {})
        # under other flags (--prune-override) the schedule begins anew
        self.acted = stored.get("acted") if start.resumes and not changed else None
        self._hold(masks)
        assert self.holder is not None
        clean = zero_what_grew(self.holder, str(start.path))
        self._copies.stale(known_zero=clean and start.resumes)
        logger.info("masks of %s restored: %r", start.path, masks)

    def catch_up(self, step: int, optimizer: Any) -> None:
        """Before the first update of this process: prune if the schedule says it is time."""
        self._copies.optimizer = optimizer
        if self.penalty is not None:
            self.penalty.begin(step, on_axes(self.weights, self.axes))
        self._choose(step)
        if self.recipe.scheme is not None:
            timetable = self.recipe.timetable()
            steps = range(min(step, timetable.last), timetable.start - 1, -1)
            due = next(filter(timetable.due, steps), None)
            if due is not None and (self.acted is None or self.acted < due):
                self._prune(due, step)
        if self.holder is not None:
            self._copies.zero(self.holder)

    def after_update(self, step: int, optimizer: Any) -> None:
        """Hold the masks after an optimizer step; prune if ``step`` updates are the time to."""
        self._copies.optimizer, self._update = optimizer, step
        self.trail.update(held=self.holder is not None)
        if self.penalty is not None:
            self.penalty.act_(step, parts_of(optimizer, self.weights))
        self._choose(step)
        scheme = self.recipe.scheme
        if scheme is not None and self.recipe.timetable().due(step) and step != self.acted:
            self._prune(step, step)
            assert self.holder is not None
            self._copies.zero(self.holder)
        elif self.holder is not None:
            self.holder.zero_weights_()
            self._copies.hold(self.holder, step)

    def _prune(self, step: int, now: int) -> None:
        """Do what the schedule has at ``step``; ``now`` updates are completed."""
        sparsity = self.recipe.timetable().sparsity(step)
        if self.holder is not None:
            self._copies.zero(self.holder)  # weights that come back start with zero moments
        notes = None if self.acted is None else self.notes
        pruned = release(self.penalty, self.weights) or self._decide(
            step, lambda probe: act(self.recipe, step, probe, notes)
        )
        self._set(pruned, step)
        self.trail.changed()
        assert self.model is not None
        found = reached(self.recipe, self.weights, self.axes, pruned, sparsity)
        report(step, now, self.recipe, found, self.model, pruned, self.rows)

    def _choose(self, step: int) -> None:
        """Let the criterion's penalty choose, if it is time, what a one-shot pruning would."""
        if self.penalty is not None and self.penalty.is_time_to_choose(step):
            settings, pruner = self.recipe.settings, Pruner(self.recipe)
            pruned = self._decide(step, lambda probe: pruner.update(settings["sparsity"], probe))
            choose(self.penalty, step, settings["start"], self.weights, pruned)

    def _decide(self, step: int, decide: Callable[[Probe], Pruned]) -> Pruned:
        """What ``decide`` makes of the network as it is; the same on all ranks."""
        assert self.model is not None
        masks = self.holder.masks() if self.holder else None
        moves = self.recipe.settings["schedule"] == "rigl" and self.acted is not None
        pruned = decide(
            probe_of(
                self.recipe, self.model, self.weights, masks, self._copies, self.sampler,
                step if moves else None, self.axes,
            )
        )  # fmt: skip
        if self.in_step:
            check_same(pruned.masks, self.weights, f"made at update {step}")
            return pruned
        agreed = Masks.unpack(from_first_rank(lambda: pruned.masks.pack()), "rank 0")
        return Pruned(agreed, pruned.extremes, pruned.notes)

    def compare(self, when: str) -> None:
        """Refuse, on every rank, that ranks hold different masks."""
        if several():
            masks = Masks({}) if self.holder is None else self.holder.masks()
            check_same(masks, self.weights, when)

    def _set(self, pruned: Pruned, step: int | None) -> None:
        check_norms(self.weights, pruned.masks, self.recipe.scheme)
        before = 0 if self.holder is None else self.holder.masks().removed_in_all()
        self.has_moved |= pruned.masks.removed_in_all() != before
        self.extremes = merge_extremes(self.extremes, pruned.extremes)
        self.notes = pruned.notes
        self.acted = step
        self._hold(pruned.masks)
        assert self.holder is not None
        self.holder.zero_weights_()
        self.holder.zero_gradients_()
        self._copies.stale()

    def _on_device(self, masks: Masks) -> dict[str, torch.Tensor]:
        return {name: m.to(self.weights[name].tensor.device) for name, m in masks.items()}

    def _hold(self, masks: Masks) -> None:
        self.holder = Holder(masks, {name: w.tensor for name, w in self.weights.items()})
        self.averages.hold(self.holder)
        self.rows = by_class(masks, self.classes, self.extremes)

    @property
    def classes(self) -> dict[str, str]:
        """Weight class by weight name, and by axis where units are pruned."""
        labels = {name: axis.label for name, axis in (self.axes or {}).items()}
        return {**{name: w.weight_class for name, w in self.weights.items()}, **labels}

    @property
    def is_final(self) -> bool:
        """Whether the model has the sparsity that was asked for."""
        return self.recipe.is_final(self.acted)

    def validate(self) -> None:
        """Zeros in the model. Raises ValueError where an update left none, or counts are wrong."""
        if self.holder is not None:
            if self._update is not None:
                check_weights(self.holder, self.rows, self.classes, self._update)
            self.holder.zero_weights_()

    def zero_for_saving(self) -> None:
        """The same in all that is about to be written."""
        if self.holder is not None:
            if self._update is not None:
                check_copies(self.holder, self._copies, self.averages, self._update)
            self.validate()
            self._copies.zero_for_saving(self.holder)

    def state(self) -> dict[str, Any] | None:
        """What goes into the checkpoint; None where there is nothing to say."""
        if not self.recipe.active:
            return None
        return Record(
            recipe=self.recipe,
            masks=None if self.holder is None else self.holder.masks(),
            acted=self.acted,
            classes=self.classes,
            extremes=self.extremes,
            notes=self.notes,
            parameters=[] if self.model is None else trained_parameters(self.model),
            penalty=None if self.penalty is None else self.penalty.pack(),
        ).pack()
