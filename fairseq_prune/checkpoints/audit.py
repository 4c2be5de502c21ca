"""Whether a checkpoint keeps what its masks promise."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from fairseq_prune.checkpoints import kept_layers, storage
from fairseq_prune.checkpoints.checkpoint import Opened, model_states
from fairseq_prune.checkpoints.moments import moments_of
from fairseq_prune.checkpoints.record import Record
from fairseq_prune.checkpoints.steps import read_steps, recipe_at, recipe_of
from fairseq_prune.checkpoints.storage import FORMAT, CheckpointError
from fairseq_prune.checkpoints.units import every_axis, groups_in, tensors_in
from fairseq_prune.checkpoints.unmasked import made_with, trained_dense, without_masks
from fairseq_prune.masks.state import Masks
from fairseq_prune.maths.allocate import removals, scaled
from fairseq_prune.maths.schedule import Threshold
from fairseq_prune.maths.select import round_count
from fairseq_prune.maths.structure import NofM
from fairseq_prune.pruning.groups import sums_by_class
from fairseq_prune.pruning.pruner import least_of
from fairseq_prune.pruning.reached import things_of
from fairseq_prune.pruning.recipe import Recipe

Counts = Mapping[str, tuple[int, int]]  # how many there are and how many are gone, by name


@dataclass(frozen=True)
class Violation:
    """A tensor in which pruned weights are not zero: where, how many, and the first of them."""

    place: str
    name: str
    index: tuple[int, ...]
    value: float
    count: int

    def __str__(self) -> str:
        more = f" ({self.count:,} such values in this tensor)" if self.count > 1 else ""
        return f"{self.place}: {self.name}{list(self.index)} is {self.value:g}, but pruned{more}"


@dataclass
class Audit:
    """What was looked at in one checkpoint, and what was found; printed, a line for each.

    Args:
        path: the file.
        removed, prunable: how many weights are removed, of how many that can be.
        digest: of the masks; None without any.
        checked: the places looked at.
        violations: pruned weights that are not zero.
        problems: what else is wrong, a sentence each.
        unfinished: where the schedule has not reached its end, a sentence that says so.
        notes: what is worth knowing, a sentence each.
    """

    path: str
    removed: int = 0
    prunable: int = 0
    digest: str | None = None
    checked: list[str] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    unfinished: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong, and the sparsity the one that was asked for."""
        return not self.violations and not self.problems and self.unfinished is None

    @property
    def verdict(self) -> str:
        """``ok``, ``UNFINISHED`` or ``WRONG``."""
        if self.violations or self.problems:
            return "WRONG"
        return "ok" if self.unfinished is None else "UNFINISHED"

    def as_dict(self) -> dict[str, Any]:
        """The audit for JSON."""
        return {**asdict(self), "ok": self.ok}

    def __str__(self) -> str:
        facts = [", ".join(self.checked) + " checked"] if self.checked else []
        if self.digest:
            share = self.removed / self.prunable if self.prunable else 0.0
            facts.append(f"{self.removed:,} of {self.prunable:,} weights removed ({share:.2%})")
            facts.append(f"masks {self.digest[:12]}")
        lines = [f"{self.path}: {self.verdict}" + "".join(f"; {fact}" for fact in facts)]
        lines += [f"  {finding}" for finding in (*self.violations, *self.problems)]
        lines += [f"  unfinished: {self.unfinished}"] if self.unfinished else []
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


def audit(opened: Opened, masks_from: str | None = None, expected: float | None = None) -> Audit:
    """What is wrong with a checkpoint, if anything; one whose masks :func:`damage` finds sound.

    Args:
        masks_from: look for another checkpoint's masks rather than the file's own.
        expected: the sparsity that it has to have, rather than the one that its recipe asks for.

    Raises ValueError where the file cannot be used or has no masks to look at.
    """
    found = Audit(opened.path)
    record = opened.record
    masks = opened.given_masks(masks_from, "--masks-from") if masks_from else opened.masks
    if record is None and masks is None:
        raise CheckpointError(without_masks(opened.content, opened.path))
    if masks is None:
        found.unfinished = "nothing is pruned yet: the schedule has not begun"
        if expected:
            found.problems.append(f"nothing is removed, not {expected:g}")
        return found
    found.removed = sum(map(masks.removed, masks))
    found.prunable = sum(map(masks.prunable, masks))
    found.digest = masks.digest()
    _look_at_weights(found, opened, masks)
    if masks.out and kept_layers.misses(storage.load(opened.path, whole=False)):
        found.problems.append(
            "layers that are gone would be run by fairseq, as its settings do not leave them out"
        )
    _look_at_unmasked(found, opened, masks, masks_from)
    if record is not None:
        _look_at_moments(found, opened, masks, record)
        if not masks_from:
            look_at_count(found, opened, masks, record)
    if expected is not None:
        look_at_expected(found, opened, masks, expected)
    return found


def damage(path: str) -> str | None:
    """The sentence that says what is wrong with the masks in the file, or None."""
    content = storage.load(path)
    stored = storage.prune_state(content)
    if stored is None or stored.get("format") != FORMAT:
        return None
    try:
        storage.masks_of(content, path)
    except CheckpointError as error:
        return str(error)
    return None


def _look_at_weights(found: Audit, opened: Opened, masks: Masks) -> None:
    for place, state in model_states(opened.content).items():
        found.checked.append(place)
        for name, mask in masks.items():
            seen: set[int] = set()
            for alias in opened.weights[name].aliases if name in opened.weights else (name,):
                value = state.get(alias)
                if isinstance(value, Tensor) and value.data_ptr() not in seen:
                    seen.add(value.data_ptr())
                    _look_at(found, place, alias, value, mask)


def _look_at_unmasked(found: Audit, opened: Opened, masks: Masks, masks_from: str | None) -> None:
    if masks_from:
        recipe = recipe_at(masks_from) or Recipe()
    else:
        assert opened.record is not None
        steps = read_steps(opened.content, opened.path)
        recipe = made_with(opened.record.recipe, recipe_of(opened.record, steps))
    loose = trained_dense(
        opened.weights, masks, recipe,
        lambda: (every_axis(opened), tensors_in(opened.content["model"])),
    )  # fmt: skip
    found.notes += [] if loose is None else [loose]


def _look_at(found: Audit, place: str, name: str, value: Tensor, mask: Tensor) -> None:
    if value.shape != mask.shape:
        found.problems.append(
            f"{place}: {name} is {tuple(value.shape)} and its mask {tuple(mask.shape)}"
        )
        return
    alive = (value != 0).logical_and_(~mask)
    count = int(torch.count_nonzero(alive))
    if count:
        flat = int(alive.reshape(-1).to(torch.uint8).argmax())
        index = tuple(int(i) for i in torch.unravel_index(torch.tensor(flat), value.shape))
        found.violations.append(Violation(place, name, index, float(value[index]), count))


def _look_at_moments(found: Audit, opened: Opened, masks: Masks, record: Record) -> None:
    state = opened.content.get("last_optimizer_state")
    if not isinstance(state, Mapping):
        return
    moments = moments_of(state, record.parameters, {n: tuple(m.shape) for n, m in masks.items()})
    if moments is None:
        found.notes.append("the optimizer's state is laid out in an unknown way: not checked")
        return
    found.checked.append("optimizer")
    for key, name, value in moments:
        _look_at(found, f"optimizer {key}", name, value, masks[name])


def look_at_count(found: Audit, opened: Opened, masks: Masks, record: Record) -> None:
    """Add to an audit what is wrong with the counts, or unfinished."""
    recipe, why = record.recipe, _why_uncounted(record)
    if why is not None:
        found.notes.append(why)
        return
    if record.acted is None:
        found.unfinished = "the masks are those that training started with: it has not pruned yet"
        return
    timetable = recipe.timetable()
    sparsity = timetable.sparsity(record.acted)
    place = f"at update {record.acted} of {timetable.last} the"
    if not record.is_final and isinstance(timetable, Threshold):
        found.unfinished = f"{place} threshold decides how many: at most {sparsity:g}"
        return
    if not record.is_final:
        final = timetable.sparsity(timetable.last)
        found.unfinished = f"{place} schedule asks for {sparsity:.4f}, at its end for {final:g}"
    if recipe.multiple is not None:
        _look_at_multiples(found, opened, masks, record)
        return
    things = things_of(recipe)
    # what was pruned before lies across the groups of M, and each of them loses its share
    more = isinstance(recipe.groups(), NofM) and bool(record.notes.before)
    for part in _parts(opened, masks, record, sparsity):
        if part.removed < min(part.wanted, part.most) or (part.removed > part.wanted and not more):
            exact = part.wanted == round_count(part.share, part.total)
            found.problems.append(
                f"{part.removed:,} of {part.total:,} {things} are removed{part.where}, but "
                f"sparsity {part.share:g}{'' if exact else ' beside what was gone'} is "
                f"{part.wanted:,}"
            )


def _why_uncounted(record: Record) -> str | None:
    """Why the count is not the recipe's to say, or cannot be checked; None where it can."""
    recipe = record.recipe
    if recipe.scheme is None:
        return "the masks were given, so that no count was asked for"
    if recipe.unknown:
        return (
            f"made with the {', the '.join(recipe.unknown)} (fairseq_prune {record.version}), not "
            "known here, so that the count is not checked; the --user-dir, or the package, that "
            "registers it makes it known"
        )
    if record.acted is not None and record.notes.vocabulary is not None:
        return "the vocabulary was cut after pruning, so that the count is not the recipe's"
    return None


def _look_at_multiples(found: Audit, opened: Opened, masks: Masks, record: Record) -> None:
    multiple = record.recipe.multiple
    assert multiple is not None
    for name, (total, removed) in _counts(opened, masks, record).items():
        if (total - removed) % multiple and not record.notes.before:
            found.problems.append(
                f"{total - removed:,} units of {name} are left, no multiple of {multiple}"
            )
    found.notes.append(f"what is left was made multiples of {multiple}: the sparsity is not exact")


def look_at_expected(found: Audit, opened: Opened, masks: Masks, expected: float) -> None:
    """Whether what is removed is ``expected``, up to the rounding of each count."""
    record, what, roundings = opened.record, "prunable weights", len(masks)
    prunable, removed = found.prunable, found.removed
    counts = record is not None and record.recipe.scheme and not record.recipe.unknown
    if record is not None and counts and record.masks is masks:
        parts = list(_parts(opened, masks, record, expected))
        prunable, removed = sum(p.total for p in parts), sum(p.removed for p in parts)
        what, roundings = things_of(record.recipe), len(parts)
    if abs(removed - expected * prunable) > roundings / 2:
        found.problems.append(
            f"{removed:,} of {prunable:,} {what} are removed ({removed / max(prunable, 1):.4f}), "
            f"not the {expected:g} expected"
        )


@dataclass(frozen=True)
class _Part:
    """What a scheme counts exactly: everything together, or a class.

    Args:
        where: to be read.
        total, removed, wanted: how many there are, are removed, and are to be.
        share: the fraction that is to be removed.
        most: how many may go at most, where some stay in any case.
    """

    where: str
    total: int
    removed: int
    wanted: int
    share: float
    most: int


def _counts(opened: Opened, masks: Masks, record: Record) -> dict[str, tuple[int, int]]:
    """How many weights, tiles or units each tensor or axis has, and how many are gone."""
    found = groups_in(opened, record.recipe).count(masks)
    # units of what was frozen in training were none then
    return {name: count for name, count in found.items() if name in record.classes}


def _parts(opened: Opened, masks: Masks, record: Record, sparsity: float) -> Iterator[_Part]:
    for counts in groups_in(opened, record.recipe).turns(_counts(opened, masks, record)):
        labels = {record.classes[name] for name in counts}
        before = {n: count for n, count in record.notes.before.items() if n in labels}
        yield from _parts_of(record, counts, before, sparsity)


def _parts_of(
    record: Record, counts: Counts, before: Mapping[str, int], sparsity: float
) -> Iterator[_Part]:
    """The parts of what is ranked together."""
    least = least_of(record.recipe, {name: total for name, (total, _) in counts.items()}) or {}
    may_go = {name: (0, total - least.get(name, 0)) for name, (total, _) in counts.items()}
    if not record.recipe.scheme_entry().by_class:
        total, removed = map(sum, zip(*counts.values(), strict=True))
        wanted = max(round_count(sparsity, total), sum(before.values()))
        most = sum(number for _, number in may_go.values())
        yield _Part("", total, removed, wanted, sparsity, most)
        return
    by_class = sums_by_class(counts, record.classes)
    most_by_class = sums_by_class(may_go, record.classes)
    totals = {label: total for label, (total, _) in by_class.items()}
    each = scaled(record.recipe.shares, sparsity, totals)
    away = removals(each, totals, {label: before.get(label, 0) for label in totals})
    for label, (total, removed) in by_class.items():
        most = most_by_class[label][1]
        yield _Part(f" in {label}", total, removed, away[label], each[label], most)
