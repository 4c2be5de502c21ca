"""From a sensitivity's curves to a sparsity for each weight class."""

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fairseq_prune.files.table import Table
from fairseq_prune.maths.plan import Trade, cost_of, share_out
from fairseq_prune.maths.select import round_count
from fairseq_prune.network.classes import GRANULARITIES
from fairseq_prune.pruning.shares import CLASSES

HEADER = "# fairseq-prune sensitivity --propose"  # what our own files begin with


@dataclass(frozen=True)
class ClassShare:
    """One class: of so many weights so many go, predicted to cost so many bits a token."""

    label: str
    weights: int
    removed: int
    cost: float

    @property
    def sparsity(self) -> float:
        """The shortest number that stands for just this count."""
        exact = self.removed / max(1, self.weights)
        shorter = (min(round(exact, digits), 1.0 - 10.0**-digits) for digits in range(2, 17))
        return next((s for s in shorter if round_count(s, self.weights) == self.removed), exact)


def propose(result: Mapping[str, Any], target: float) -> list[ClassShare]:
    """The class sparsities that remove ``target`` of all weights at the least predicted cost.

    Cost is the rise of log-perplexity, added up over classes as :mod:`fairseq_prune.maths.plan`
    says. A point that has no perplexity, and what lies beyond it, is left out.

    Args:
        result: of a sensitivity with several sparsities of each class.

    Raises ValueError where the target is outside (0, 1) or beyond what was measured.
    """
    if not 0.0 < target < 1.0:
        raise ValueError(f"--propose {target} is outside (0, 1): give the overall sparsity.")
    sizes = {row["class"]: row["weights"] for row in result["rows"]}
    curves = {label: _curve(result, label) for label in sizes}
    total = sum(sizes.values())
    removed = round_count(target, total)
    most = sum(points[-1][0] for points in curves.values())
    if removed > most:
        raise ValueError(
            f"--propose {target} is beyond the {most / total:.4f} that was measured; give --each "
            "larger sparsities."
        )
    shared = share_out(curves, removed)
    return [ClassShare(n, sizes[n], shared[n], cost_of(curves[n], shared[n])) for n in sizes]


def _curve(result: Mapping[str, Any], label: str) -> list[Trade]:
    points: list[Trade] = [(0, 0.0)]
    dense = result["dense"]["nll"]
    rows = [row for row in result["rows"] if row["class"] == label]
    for row in sorted(rows, key=lambda row: int(row["removed"])):
        if row["nll"] is None or dense is None:
            break
        points.append((row["removed"], row["nll"] - dense))
    return points


def as_table(parts: Sequence[ClassShare]) -> Table:
    """The proposal to be read."""
    total, removed = sum(p.weights for p in parts), sum(p.removed for p in parts)
    cost = sum(p.cost for p in parts)
    every = [*parts, ClassShare("all classes", total, removed, cost)]
    rows = [
        [p.label, f"{p.weights:,}", f"{p.removed:,}", f"{p.removed / max(1, p.weights):.2%}",
         f"{p.cost:.4f}", f"x {2**p.cost:.3f}" if p.cost < 1000 else "-"]
        for p in every
    ]  # fmt: skip
    head = ["proposed class", "weights", "removed", "sparsity", "predicted bits", "predicted ppl"]
    return [head, *rows]


def as_file(parts: Sequence[ClassShare], result: Mapping[str, Any], target: float) -> str:
    """The proposal as ``--prune-given`` reads it; which classes it is of is said in it."""
    classes = str(result["settings"]["recipe"]["classes"])
    classes = classes if classes in GRANULARITIES else os.path.abspath(classes)
    cost = sum(p.cost for p in parts)
    width = max(len(p.label) for p in parts)
    return "".join(
        line + "\n"
        for line in (
            f"{HEADER} {target:g}: for --prune-scheme given --prune-given THIS_FILE",
            f"{CLASSES}{classes}",
            f"# of {shlex.quote(result['checkpoint'])}, SHA-256 {result['sha256'][:16]}",
            f"# predicted: {cost:.4f} bits a token more, if what classes cost adds up",
            *(f"{p.label:{width}} {p.sparsity!r}" for p in parts),
        )
    )
