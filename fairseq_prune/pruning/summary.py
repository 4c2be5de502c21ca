"""What is pruned: by weight class, and of the model as a whole.

Sparsity is of the prunable weights, which are not all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from fairseq_prune.files.table import as_text
from fairseq_prune.masks.state import Masks
from fairseq_prune.network.layers import is_within, place_of
from fairseq_prune.network.weights import is_embedding
from fairseq_prune.pruning.notes import Notes
from fairseq_prune.pruning.pruner import Extremes
from fairseq_prune.pruning.unseen import ORDERS


@dataclass(frozen=True)
class ClassRow:
    """One weight class: counts of prunable weights, and magnitudes where they are known."""

    name: str
    tensors: int
    prunable: int
    removed: int
    largest_removed: float | None = None
    smallest_kept: float | None = None

    @property
    def sparsity(self) -> float:
        """The fraction of the class that is removed."""
        return self.removed / self.prunable if self.prunable else 0.0

    @property
    def dead(self) -> bool:
        """Whether nothing of the class is left."""
        return self.prunable > 0 and self.removed == self.prunable

    def as_dict(self) -> dict[str, Any]:
        """The row for JSON."""
        return {**asdict(self), "kept": self.prunable - self.removed, "sparsity": self.sparsity}


def by_class(
    masks: Masks, classes: Mapping[str, str], extremes: Extremes | None = None
) -> list[ClassRow]:
    """One row a weight class, in the order of the model."""
    extremes = extremes or {}
    rows = []
    for label in dict.fromkeys(classes[name] for name in masks):
        members = [name for name in masks if classes[name] == label]
        seen = [extremes[name] for name in members if name in extremes]
        rows.append(
            ClassRow(
                name=label,
                tensors=len(members),
                prunable=sum(map(masks.prunable, members)),
                removed=sum(map(masks.removed, members)),
                largest_removed=max((r for r, _ in seen if r is not None), default=None),
                smallest_kept=min((k for _, k in seen if k is not None), default=None),
            )
        )
    return rows


def total(rows: Sequence[ClassRow], name: str = "all classes") -> ClassRow:
    """The rows added up."""
    removed = [r.largest_removed for r in rows if r.largest_removed is not None]
    kept = [r.smallest_kept for r in rows if r.smallest_kept is not None]
    return ClassRow(
        name,
        sum(r.tensors for r in rows),
        sum(r.prunable for r in rows),
        sum(r.removed for r in rows),
        max(removed, default=None),
        min(kept, default=None),
    )


def format_table(rows: Sequence[ClassRow], sigma: Mapping[str, float] | None = None) -> str:
    """The rows and their sum as aligned text; ``sigma`` adds a column (class-distribution)."""
    header = ["class", "weights", "removed", "kept", "sparsity", "largest removed", "smallest kept"]
    lines = [header + (["sigma"] if sigma else [])]
    for row in (*rows, total(rows)):
        cells = [
            row.name,
            f"{row.prunable:,}",
            f"{row.removed:,}",
            f"{row.prunable - row.removed:,}",
            f"{row.sparsity:.2%}",
            _number(row.largest_removed),
            _number(row.smallest_kept),
        ]
        lines.append(cells + ([_number(sigma.get(row.name))] if sigma else []))
    return as_text(lines, rule=False).removesuffix("\n")


def find_dead(rows: Sequence[ClassRow], masks: Masks) -> list[str]:
    """A sentence for each weight class, and each tensor, of which nothing is left.

    Those in layers that are gone as such (:func:`left_out`) have not died by chance.
    """
    dead = [name for name in masks if 0 < masks.prunable(name) == masks.removed(name)]
    tensors = [name for name in dead if not is_within(name, masks.out)]
    classes = [f"weight class {row.name}" for row in rows if row.dead and tensors]
    return [f"{what} has died: all its weights are removed" for what in (*classes, *tensors)]


def left_out(masks: Masks) -> str | None:
    """A line that names the layers that are gone; None where none is."""
    layers = sorted(masks.out, key=lambda name: (place_of(name)[0] == "decoder", place_of(name)))
    return f"layers left out: {', '.join(layers)}" if layers else None


def find_unseen(notes: Notes, masks: Masks) -> list[str]:
    """A sentence for each table of which the sample to score on left rows without a score."""
    order = ORDERS.get(str(notes.unseen_order), "")
    return [
        f"{count:,} of {masks[name].shape[0]:,} rows of {name} stand for tokens that are not in "
        f"the batches scored on: their score is 0{order}{_gone(notes, name)}; give more "
        "--prune-score-batches, or leave the class out with --prune-exclude"
        for name, count in notes.unseen.items()
        if name in masks
    ]


def _gone(notes: Notes, name: str) -> str:
    if len(notes.unseen_gone.get(name, ())) != 2:
        return ""
    own, others = notes.unseen_gone[name]
    return f" ({own:.1%} of their weights went, {others:.1%} of the others')"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


@dataclass(frozen=True)
class Whole:
    """Counts over a whole model; a tied tensor counts once.

    Args:
        prunable, removed: weights that masks cover, pad rows apart, and those that they remove.
        parameters: everything in the model, biases, normalisation, excluded weights and pad rows
            included.
        embeddings, removed_embeddings: the part of them that lies in embedding tables; one that is
            tied to the softmax is a table.
    """

    prunable: int
    removed: int
    parameters: int
    embeddings: int
    removed_embeddings: int

    @property
    def sparsity(self) -> float:
        """The fraction of the prunable weights that is removed."""
        return self.removed / self.prunable if self.prunable else 0.0

    @property
    def of_all(self) -> float:
        """The fraction of all parameters that is removed."""
        return self.removed / self.parameters if self.parameters else 0.0

    @property
    def of_others(self) -> float:
        """The fraction that is removed of the parameters outside of embedding tables."""
        others = self.parameters - self.embeddings
        return (self.removed - self.removed_embeddings) / others if others else 0.0

    def __str__(self) -> str:
        return (
            f"{self.sparsity:.2%} of {self.prunable:,} prunable weights ({self.of_all:.2%} of all "
            f"{self.parameters:,} parameters, {self.of_others:.2%} without embeddings)"
        )

    def as_dict(self) -> dict[str, Any]:
        """The counts and fractions for JSON."""
        fractions = {"sparsity_of_all": self.of_all, "sparsity_without_embeddings": self.of_others}
        return {**asdict(self), **fractions}


def whole(masks: Masks | None, parameters: Mapping[str, Tensor]) -> Whole:
    """The counts of a model under masks, or under none.

    Args:
        parameters: by name, tied ones once (:func:`fairseq_prune.network.ties.parameters_in`).
    """
    masks = masks or Masks({})
    tables = {name: value for name, value in parameters.items() if is_embedding(name)}
    return Whole(
        prunable=masks.prunable_in_all(),
        removed=masks.removed_in_all(),
        parameters=sum(value.numel() for value in parameters.values()),
        embeddings=sum(value.numel() for value in tables.values()),
        removed_embeddings=sum(masks.removed(name) for name in masks if is_embedding(name)),
    )
