"""One training run's pruning: its recipe, its masks, and when they change."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from fairseq_prune.checkpoints import storage
from fairseq_prune.checkpoints.mask_layout import AsLoaded, as_loaded, fits, given_masks
from fairseq_prune.checkpoints.record import Record, unpack_record
from fairseq_prune.checkpoints.unmasked import made_with, trained_dense
from fairseq_prune.masks.hold import Holder
from fairseq_prune.masks.state import Masks
from fairseq_prune.maths.schedule import Exchange
from fairseq_prune.network.axes import check_layers, find_axes, heads_of, on_axes, tensors_of
from fairseq_prune.network.layers import leave_out_
from fairseq_prune.network.units import Axes
from fairseq_prune.network.weights import Weight, of_module
from fairseq_prune.pruning.bound import axes_of, bound, check_shrinks
from fairseq_prune.pruning.penalty_run import Penalised, choose, release
from fairseq_prune.pruning.pruner import (
    Pruned,
    Pruner,
    check_structure,
    find_extremes,
    merge_extremes,
)
from fairseq_prune.pruning.reached import reached
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.pruning.step import act
from fairseq_prune.pruning.weight_norm import check_norms
from fairseq_prune.saliency import Probe
from fairseq_prune.tasks._held import Held
from fairseq_prune.tasks._layers import options_of
from fairseq_prune.tasks._optimizer import parts_of, trained_parameters
from fairseq_prune.tasks._probe import Sampler, probe_of
from fairseq_prune.tasks._ranks import check_same, from_first_rank, several
from fairseq_prune.tasks._report import report, report_rules
from fairseq_prune.tasks._start import Start, check_same_flags, record_at
from fairseq_prune.tasks._trail import Trail
from fairseq_prune.tasks.skeleton import as_loaded as as_fairseq_loads

logger = logging.getLogger("fairseq_prune")


class Session:
    """What the task remembers between fairseq's hooks.

    Args:
        recipe: the flags, checked.
        override: --prune-override.
        in_step: whether the weights of all ranks are the same after each update.
    """

    def __init__(self, recipe: Recipe, override: bool, in_step: bool = True) -> None:
        # what a checkpoint will say; its masks are in `held` while the run goes on
        self.record = Record(recipe=recipe, masks=None, acted=None, classes={})
        self.override = override
        self.in_step = in_step
        self.model: nn.Module | None = None
        self.settings: Any = None  # the model's own
        self.weights: dict[str, Weight] = {}
        self.axes: Axes | None = None  # where units are pruned
        self.held = Held()
        self.penalty: Penalised | None = None  # the criterion's
        self.sampler: Sampler | None = None
        self.trail = Trail()
        self.resumed: str | None = None  # the file, until its optimizer state has been used
        self.has_moved = False  # the sparsity, since scores began: see _scores.py

    @property
    def recipe(self) -> Recipe:
        """The flags in force."""
        return self.record.recipe

    @property
    def holder(self) -> Holder | None:
        """Holds the model's pruned weights at zero; None before there are masks."""
        return self.held.holder

    def _say(self, **what: Any) -> None:
        self.record = replace(self.record, **what)

    def check(self, model: nn.Module, start: Start, settings: Any = None) -> None:
        """Refuse early what cannot work: a damaged file, flags or masks that do not fit.

        Args:
            settings: the model's own.
        """
        self.settings = settings
        if start.by_rank:
            record_at(start)
        else:
            from_first_rank(lambda: record_at(start) is None)
        if self.recipe.active:
            weights = self._find(model)
            check_structure(self.recipe, weights)
            axes = axes_of(model, weights, self.recipe)
            check_layers(axes, options_of(settings))
            report_rules(self.recipe, model, weights, axes)
            self._say(recipe=bound(self.recipe, weights, axes))
            if self.recipe.mask_from:
                from_first_rank(lambda: start.resumes or self._given_masks(model, weights).digest())

    def _find(self, model: nn.Module) -> dict[str, Weight]:
        return of_module(model, self.recipe.resolved.classes, self.recipe.excluded)

    def _given_masks(self, model: nn.Module, weights: Mapping[str, Weight]) -> Masks:
        return given_masks(str(self.recipe.mask_from), weights, loading(model, self.settings))

    def begin(self, model: nn.Module, start: Start) -> None:
        """Attach to the model that will be trained, and take up the masks it starts with."""
        self.model = model
        if start.by_rank:
            stored = record_at(start)
        else:  # rank 0 decides, as for fairseq; ranks send each other plain values
            start = Start(*from_first_rank(lambda: (start.path, start.resumes)))
            packed = from_first_rank(lambda: [one.pack() for one in (record_at(start),) if one])
            stored = unpack_record(packed[0], str(start.path)) if packed else None
        self.trail = Trail.begin(start, self.recipe)
        given = self.recipe.mask_from
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
            self._take_given(given, model)
        if self.holder is not None and self.recipe.scheme is not None and self.record.acted is None:
            origin = given or str(start.path)
            check_shrinks(self.recipe, self.weights, self.axes, self.holder.masks(), origin)

    def _take_given(self, given: str, model: nn.Module) -> None:
        packed = from_first_rank(lambda: self._given_masks(model, self.weights).pack())
        masks, own = Masks.unpack(packed, given), self.held.masks()
        masks = masks if own is None else own & masks
        there = {name: m.to(self.weights[name].tensor.device) for name, m in masks.items()}
        self._set(Pruned(masks, find_extremes(self.weights, there)), step=None)
        logger.info("holding the masks of %s: %r", given, masks)

    def _take_up(self, stored: Record, model: nn.Module, start: Start) -> None:
        if self.override and not self.recipe.active:
            logger.warning("%s was pruned; --prune-override: training dense.", start.path)
            self.has_moved = True
            return
        settings = self.penalty.settings if self.penalty else None
        changed = check_same_flags(stored, start, self.recipe, settings, self.override)
        if not self.recipe.active:  # retraining a pruned model: hold what the file says
            said = stored.recipe.resolved
            kept = Recipe(mask_from=start.path, classes=said.classes, exclude=said.exclude)
            self._say(recipe=kept)
        if self.penalty is not None and start.resumes and not changed:
            assert stored.penalty is not None
            self.penalty.take_up(stored.penalty, str(start.path))
        if stored.masks is None:
            self.weights = self._find(model)
            return
        load = loading(model, self.settings)
        self.weights, masks = take_masks(stored.masks, start, model, self.recipe, load)
        # under other flags (--prune-override) the schedule begins anew
        acted = stored.acted if start.resumes and not changed else None
        if self.recipe.scheme is None or acted is not None:  # else all may be pruned yet
            self._look_for_unmasked(stored, masks, model, str(start.path))
        self._say(extremes=stored.extremes, notes=stored.notes, acted=acted)
        self.held.take_from_file(
            str(start.path), start.resumes, masks, self.weights, self.classes, stored.extremes
        )
        leave_out_(model, masks.out)
        logger.info("masks of %s restored: %r", start.path, masks)

    def _look_for_unmasked(
        self, stored: Record, masks: Masks, model: nn.Module, origin: str
    ) -> None:
        """Warn of matrices that could have masks and are trained without."""
        recipe = made_with(self.recipe, self.trail.recipe_of(stored))
        tensors = tensors_of(model)
        loose = trained_dense(
            self.weights, masks, recipe, lambda: (find_axes(tensors, heads_of(model)), tensors)
        )
        if loose is not None:
            logger.warning("%s has matrices %s: they are trained dense.", origin, loose)

    def catch_up(self, step: int, optimizer: Any) -> None:
        """Before the first update of this process: prune if the schedule says it is time."""
        self.held.see(optimizer)
        if self.penalty is not None:
            self.penalty.begin(step, on_axes(self.weights, self.axes))
        self._choose(step)
        if self.recipe.scheme is not None:
            timetable, acted = self.recipe.timetable(), self.record.acted
            steps = range(min(step, timetable.last), timetable.start - 1, -1)
            due = next(filter(timetable.due, steps), None)
            if due is not None and (acted is None or acted < due):
                self._prune(due, step)
        self.held.zero_copies()

    def after_update(self, step: int, optimizer: Any) -> None:
        """Hold the masks after an optimizer step; prune if ``step`` updates are the time to."""
        self.held.see(optimizer, step)
        self.trail.update(held=self.holder is not None)
        if self.penalty is not None:
            self.penalty.act_(step, parts_of(optimizer, self.weights))
        self._choose(step)
        scheme = self.recipe.scheme
        if scheme is not None and self.recipe.timetable().due(step) and step != self.record.acted:
            self._prune(step, step)
            self.held.zero_copies()
        else:
            self.held.after_update(step)

    def _prune(self, step: int, now: int) -> None:
        """Do what the schedule has at ``step``; ``now`` updates are completed."""
        sparsity = self.recipe.timetable().sparsity(step)
        self.held.zero_copies()  # weights that come back start with zero moments
        notes = None if self.record.acted is None else self.record.notes
        pruned = release(self.penalty, self.weights) or self._decide(
            step, lambda probe: act(self.recipe, step, probe, notes)
        )
        self._set(pruned, step)
        self.trail.changed()
        assert self.model is not None
        found = reached(self.recipe, self.weights, self.axes, pruned, sparsity)
        report(step, now, self.recipe, found, self.model, pruned, self.held.rows)

    def _choose(self, step: int) -> None:
        """Let the criterion's penalty choose, if it is time, what a one-shot pruning would."""
        if self.penalty is not None and self.penalty.is_time_to_choose(step):
            recipe = self.recipe
            pruned = self._decide(step, lambda probe: Pruner(recipe).update(recipe.target, probe))
            choose(self.penalty, step, recipe.resolved.start, self.weights, pruned)

    def _decide(self, step: int, decide: Callable[[Probe], Pruned]) -> Pruned:
        """What ``decide`` makes of the network as it is; the same on all ranks."""
        assert self.model is not None
        timetable = self.recipe.timetable()
        along = isinstance(timetable, Exchange) and timetable.growth == "gradient"
        moves = along and self.record.acted is not None
        pruned = decide(
            probe_of(
                self.recipe, self.model, self.weights, self.held.masks(), self.held.copies,
                self.sampler,
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
            check_same(self.held.masks() or Masks({}), self.weights, when)

    def _set(self, pruned: Pruned, step: int | None) -> None:
        check_norms(self.weights, pruned.masks, self.recipe.scheme)
        before = 0 if self.holder is None else self.holder.masks().removed_in_all()
        self.has_moved |= pruned.masks.removed_in_all() != before
        extremes = merge_extremes(self.record.extremes, pruned.extremes)
        self._say(extremes=extremes, notes=pruned.notes, acted=step)
        self.held.prune(pruned.masks, self.weights, self.classes, extremes)
        assert self.model is not None
        leave_out_(self.model, pruned.masks.out)

    @property
    def classes(self) -> dict[str, str]:
        """Weight class by weight name, and by axis where units are pruned."""
        labels = {name: axis.label for name, axis in (self.axes or {}).items()}
        return {**{name: w.weight_class for name, w in self.weights.items()}, **labels}

    def state(self) -> dict[str, Any] | None:
        """What goes into the checkpoint; None where there is nothing to say."""
        if not self.recipe.active:
            return None
        return replace(
            self.record,
            masks=self.held.masks(),
            classes=self.classes,
            parameters=[] if self.model is None else trained_parameters(self.model),
            penalty=None if self.penalty is None else self.penalty.pack(),
        ).pack()


def loading(model: nn.Module, settings: Any) -> AsLoaded:
    """What a live model makes of a file's tensors before it takes them.

    Args:
        settings: the model's own.
    """
    return lambda state: as_fairseq_loads(model, state, settings)


def take_masks(
    masks: Masks, start: Start, model: nn.Module, recipe: Recipe, load: AsLoaded
) -> tuple[dict[str, Weight], Masks]:
    """The weights of a model, frozen ones that have a mask among them, and the masks for them.

    Args:
        masks: as the file has them.
        recipe: of the run.
        load: of :func:`loading`.

    Raises ValueError where the masks are another model's, or a frozen weight would be pruned on.
    """
    origin = str(start.path)
    classes = recipe.resolved.classes
    weights = of_module(model, classes, recipe.excluded, frozen=masks)
    if not fits(masks, weights):

        def converted(stored: Masks = masks) -> dict[str, Any]:
            return as_loaded(stored, weights, storage.load(origin)["model"], load).pack()

        masks = Masks.unpack(converted() if start.by_rank else from_first_rank(converted), origin)
    storage.check_fits(masks, {name: w.tensor for name, w in weights.items()}, origin)
    _look_at_frozen(weights, recipe, origin)
    return weights, masks


def _look_at_frozen(weights: Mapping[str, Weight], recipe: Recipe, origin: str) -> None:
    frozen = [name for name, weight in weights.items() if not weight.tensor.requires_grad]
    if not frozen:
        return
    names = ", ".join(frozen)
    if recipe.scheme is not None:
        raise ValueError(
            f"{origin} has masks of {names}, which these flags freeze: a frozen matrix cannot be "
            "pruned further. Leave out the flag that freezes it, or the prune flags, to train "
            "under the masks that are there."
        )
    logger.info("frozen under its mask: %s", names)
