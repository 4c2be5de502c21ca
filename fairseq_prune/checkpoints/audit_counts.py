"""Whether a checkpoint has as many weights, tiles or units removed as its recipe asks for."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fairseq_prune.checkpoints.checkpoint import Opened
from fairseq_prune.checkpoints.record import Record
from fairseq_prune.checkpoints.units import groups_in
from fairseq_prune.checkpoints.vocabulary import VOCABULARY
from fairseq_prune.masks.state import Masks
from fairseq_prune.maths.allocate import removals, scaled
from fairseq_prune.maths.schedule import Threshold
from fairseq_prune.maths.select import round_count
from fairseq_prune.maths.structure import NofM
from fairseq_prune.pruning.counts import least_of
from fairseq_prune.pruning.groups import sums_by_class
from fairseq_prune.pruning.reached import things_of

if TYPE_CHECKING:
    from fairseq_prune.checkpoints.audit import Audit


def look_at_count(found: "Audit", opened: Opened, masks: Masks, record: Record) -> None:
    """Add to an audit what is wrong with the counts, or unfinished."""
    recipe = record.recipe
    if recipe.scheme is None:
        found.notes.append("the masks were given, so that no count was asked for")
        return
    if record.acted is None:
        found.unfinished = "the masks are those that training started with: it has not pruned yet"
        return
    if VOCABULARY in record.notes:
        found.notes.append(
            "the vocabulary was cut after pruning, so that the count is not the recipe's"
        )
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
    more = isinstance(recipe.groups(), NofM) and "before" in record.notes
    for part in _parts(opened, masks, record, sparsity):
        if part.removed < min(part.wanted, part.most) or (part.removed > part.wanted and not more):
            exact = part.wanted == round_count(part.share, part.total)
            found.problems.append(
                f"{part.removed:,} of {part.total:,} {things} are removed{part.where}, but "
                f"sparsity {part.share:g}{'' if exact else ' beside what was gone'} is "
                f"{part.wanted:,}"
            )


def _look_at_multiples(found: "Audit", opened: Opened, masks: Masks, record: Record) -> None:
    multiple = record.recipe.multiple
    assert multiple is not None
    for name, (total, removed) in _counts(opened, masks, record).items():
        if (total - removed) % multiple and "before" not in record.notes:
            found.problems.append(
                f"{total - removed:,} units of {name} are left, no multiple of {multiple}"
            )
    found.notes.append(f"what is left was made multiples of {multiple}: the sparsity is not exact")


def look_at_expected(found: "Audit", opened: Opened, masks: Masks, expected: float) -> None:
    """Whether what is removed is ``expected``, up to the rounding of each count."""
    record, what, roundings = opened.record, "prunable weights", len(masks)
    prunable, removed = found.prunable, found.removed
    if record is not None and record.recipe.scheme is not None and record.masks is masks:
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
    before = dict(record.notes.get("before", {}))
    counts = _counts(opened, masks, record)
    least = least_of(record.recipe, {name: total for name, (total, _) in counts.items()}) or {}
    may_go = {name: (0, total - least.get(name, 0)) for name, (total, _) in counts.items()}
    shares = record.recipe.shares
    if record.recipe.scheme != "class-uniform" and shares is None:
        total, removed = map(sum, zip(*counts.values(), strict=True))
        wanted = max(round_count(sparsity, total), sum(before.values()))
        most = sum(number for _, number in may_go.values())
        yield _Part("", total, removed, wanted, sparsity, most)
        return
    by_class = sums_by_class(counts, record.classes)
    most_by_class = sums_by_class(may_go, record.classes)
    totals = {label: total for label, (total, _) in by_class.items()}
    each = scaled(shares, sparsity, totals)
    away = removals(each, totals, {label: before.get(label, 0) for label in totals})
    for label, (total, removed) in by_class.items():
        most = most_by_class[label][1]
        yield _Part(f" in {label}", total, removed, away[label], each[label], most)
