"""Whether a checkpoint keeps what its masks promise."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from fairseq_prune.checkpoints import storage
from fairseq_prune.checkpoints.audit_counts import look_at_count, look_at_expected
from fairseq_prune.checkpoints.checkpoint import Opened, model_states
from fairseq_prune.checkpoints.moments import moments_of
from fairseq_prune.checkpoints.record import Record
from fairseq_prune.checkpoints.storage import FORMAT, CheckpointError
from fairseq_prune.checkpoints.unmasked import trained_dense, without_masks
from fairseq_prune.masks.state import Masks
from fairseq_prune.pruning.recipe import Recipe


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
    recipe = Recipe() if opened.record is None else opened.record.recipe
    loose = trained_dense(opened.weights, masks, recipe)
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
