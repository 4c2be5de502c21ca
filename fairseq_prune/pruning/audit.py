"""Whether a checkpoint keeps what its masks promise."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from fairseq_prune.masks import storage
from fairseq_prune.masks.state import Masks
from fairseq_prune.masks.storage import FORMAT, CheckpointError
from fairseq_prune.maths.structure import Units
from fairseq_prune.pruning.audit_counts import look_at_count, look_at_expected
from fairseq_prune.pruning.moments import moments_of
from fairseq_prune.pruning.opened import Opened, model_states, open_checkpoint
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.pruning.record import Record
from fairseq_prune.pruning.unmasked import without_masks


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
    """What was looked at in one checkpoint, and what was found.

    Args:
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
        """In a word."""
        if self.violations or self.problems:
            return "WRONG"
        return "ok" if self.unfinished is None else "UNFINISHED"

    def as_dict(self) -> dict[str, Any]:
        """The audit for JSON."""
        return {**asdict(self), "ok": self.ok}


def audit(path: str, masks_from: str | None = None, expected: float | None = None) -> Audit:
    """What is wrong with the checkpoint at ``path``, if anything.

    Args:
        masks_from: look for another checkpoint's masks rather than the file's own.
        expected: the sparsity that it has to have, rather than the one that its recipe asks for.

    Raises ValueError where the file cannot be used or has no masks to look at.
    """
    found = Audit(path)
    damaged = None if masks_from else _damage(path)
    if damaged:
        found.problems.append(damaged)
        return found
    opened = open_checkpoint(path)
    record = opened.record
    masks = storage.given_masks(masks_from, opened.tensors) if masks_from else opened.masks
    if record is None and masks is None:
        raise CheckpointError(without_masks(opened.content, path))
    if masks is None:
        found.unfinished = "nothing is pruned yet: the schedule has not begun"
        if expected:
            found.problems.append(f"nothing is removed, not {expected:g}")
        return found
    found.removed = sum(map(masks.removed, masks))
    found.prunable = sum(map(masks.prunable, masks))
    found.digest = masks.digest()
    _look_at_weights(found, opened, masks)
    if record is not None:
        _look_at_moments(found, opened, masks, record)
        if not masks_from:
            look_at_count(found, opened, masks, record)
    if expected is not None:
        look_at_expected(found, opened, masks, expected)
    return found


def _damage(path: str) -> str | None:
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
    aliases = {name: _every_name(name, opened, masks) for name in masks}
    for place, state in model_states(opened.content).items():
        found.checked.append(place)
        for name, mask in masks.items():
            seen: set[int] = set()
            for alias in aliases[name]:
                value = state.get(alias)
                if isinstance(value, Tensor) and value.data_ptr() not in seen:
                    seen.add(value.data_ptr())
                    _look_at(found, place, alias, value, mask)
    loose = [n for n in opened.weights if not any(n in every for every in aliases.values())]
    recipe = opened.record.recipe if opened.record else Recipe()
    if loose and not recipe.exclude and not isinstance(recipe.groups(), Units):
        found.notes.append(f"without masks: {', '.join(loose)} (frozen in training, or excluded)")


def _every_name(name: str, opened: Opened, masks: Masks) -> tuple[str, ...]:
    """All names of a masked weight, those included whose tie was broken by values grown back.

    A tensor of the same shape that equals the weight wherever the mask keeps it is its copy.
    """
    weight = opened.weights.get(name)
    if weight is None:
        return (name,)
    copies = list(weight.aliases)
    mask, kept = masks[name], weight.tensor[masks[name]]
    for other in opened.weights.values():
        alike = other.tensor.shape == mask.shape and other.tensor.dtype == weight.tensor.dtype
        if other.name not in masks and alike and kept.numel():
            if torch.equal(other.tensor[mask], kept):
                copies += other.aliases
    return tuple(dict.fromkeys(copies))


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
