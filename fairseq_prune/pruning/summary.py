"""Tables of what is pruned, by weight class."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fairseq_prune.masks.state import Masks
from fairseq_prune.pruning.pruner import Extremes
from fairseq_prune.pruning.unseen import GONE, ORDER, ORDERS, UNSEEN


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
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            c.rjust(w) if i else c.ljust(w)
            for i, (c, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def find_dead(rows: Sequence[ClassRow], masks: Masks) -> list[str]:
    """A sentence for each weight class, and each tensor, of which nothing is left."""
    classes = [f"weight class {row.name}" for row in rows if row.dead]
    tensors = [name for name in masks if 0 < masks.prunable(name) == masks.removed(name)]
    return [f"{what} has died: all its weights are removed" for what in (*classes, *tensors)]


def find_unseen(notes: Mapping[str, Any], masks: Masks) -> list[str]:
    """A sentence for each table of which the sample to score on left rows without a score."""
    order = ORDERS.get(str(notes.get(ORDER)), "")
    return [
        f"{count:,} of {masks[name].shape[0]:,} rows of {name} stand for tokens that are not in "
        f"the batches scored on: their score is 0{order}{_gone(notes, name)}; give more "
        "--prune-score-batches, or leave the class out with --prune-exclude"
        for name, count in notes.get(UNSEEN, {}).items()
    ]


def _gone(notes: Mapping[str, Any], name: str) -> str:
    if name not in notes.get(GONE, {}):
        return ""
    own, others = notes[GONE][name]
    return f" ({own:.1%} of their weights went, {others:.1%} of the others')"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
