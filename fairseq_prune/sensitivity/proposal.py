"""From a sensitivity's curves to a sparsity for each weight class."""

import math
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

HEADER = "# fairseq-prune sensitivity --"  # what our own files begin with


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
    curves = _Curves(result)
    removed = round_count(target, curves.total)
    if removed > curves.most:
        raise ValueError(
            f"--propose {target} is beyond the {curves.most / curves.total:.4f} that was measured; "
            "give --each larger sparsities."
        )
    return curves.shared(removed)


def propose_at_most(result: Mapping[str, Any], limit: float) -> list[ClassShare]:
    """The class sparsities that remove the most weights at a predicted cost of at most ``limit``.

    Of all counts, the largest for which :func:`propose` predicts no more; so the cost predicted for
    any target gives that target back, or more. What was measured ends the search.

    Args:
        result: as for :func:`propose`.
        limit: the rise of log-perplexity in bits a token: 1 doubles the perplexity.

    Raises ValueError where the limit is negative or no number.
    """
    check_limit(limit)
    curves = _Curves(result)
    # the cost falls at first, if at all, and then rises: whatever is below the last count that is
    # cheap enough is cheap enough too
    fits, beyond = 0, curves.most + 1
    while beyond - fits > 1:
        middle = (fits + beyond) // 2
        if predicted(curves.shared(middle)) <= limit:
            fits = middle
        else:
            beyond = middle
    return curves.shared(fits)


def is_all_measured(parts: Sequence[ClassShare], result: Mapping[str, Any]) -> bool:
    """Whether a proposal removes all that was measured of each class."""
    return sum(part.removed for part in parts) == _Curves(result).most


def check_limit(limit: float) -> None:
    """Raise ValueError where ``--at-most`` is no number of bits."""
    if not (math.isfinite(limit) and limit >= 0.0):
        raise ValueError(
            f"--at-most {limit} must be 0 or more: give the bits a token that log-perplexity may "
            "rise by."
        )


def predicted(parts: Sequence[ClassShare]) -> float:
    """What the classes of a proposal are predicted to cost together, in bits a token."""
    return sum(part.cost for part in parts)


class _Curves:
    """The curve of each class, and what is proposed along them."""

    def __init__(self, result: Mapping[str, Any]) -> None:
        self._sizes = {row["class"]: int(row["weights"]) for row in result["rows"]}
        self._points = {label: _curve(result, label) for label in self._sizes}
        self.total = sum(self._sizes.values())
        self.most = sum(points[-1][0] for points in self._points.values())

    def shared(self, removed: int) -> list[ClassShare]:
        """So many weights, shared out among the classes."""
        shares = share_out(self._points, removed)
        return [
            ClassShare(label, size, shares[label], cost_of(self._points[label], shares[label]))
            for label, size in self._sizes.items()
        ]


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
    cost = predicted(parts)
    every = [*parts, ClassShare("all classes", total, removed, cost)]
    rows = [
        [p.label, f"{p.weights:,}", f"{p.removed:,}", f"{p.removed / max(1, p.weights):.2%}",
         f"{p.cost:.4f}", f"x {2**p.cost:.3f}" if p.cost < 1000 else "-"]
        for p in every
    ]  # fmt: skip
    head = ["proposed class", "weights", "removed", "sparsity", "predicted bits", "predicted ppl"]
    return [head, *rows]


def as_file(parts: Sequence[ClassShare], result: Mapping[str, Any], asked: str) -> str:
    """The proposal as ``--prune-given`` reads it; which classes it is of is said in it.

    Args:
        asked: the flag and its number that were given, without its dashes.
    """
    classes = str(result["settings"]["recipe"]["classes"])
    classes = classes if classes in GRANULARITIES else os.path.abspath(classes)
    cost = predicted(parts)
    width = max(len(p.label) for p in parts)
    return "".join(
        line + "\n"
        for line in (
            f"{HEADER}{asked}: for --prune-scheme given --prune-given THIS_FILE",
            f"{CLASSES}{classes}",
            f"# of {shlex.quote(result['checkpoint'])}, SHA-256 {result['sha256'][:16]}",
            f"# predicted: {cost:.4f} bits a token more, if what classes cost adds up",
            *(f"{p.label:{width}} {p.sparsity!r}" for p in parts),
        )
    )
