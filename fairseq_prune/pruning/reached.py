"""What a pruning came to, beside what was asked for."""

from collections.abc import Mapping
from dataclasses import dataclass

from fairseq_prune.maths.allocate import scaled
from fairseq_prune.maths.schedule import Threshold
from fairseq_prune.maths.select import round_count
from fairseq_prune.maths.structure import Block, NofM, Units
from fairseq_prune.network.units import Axes
from fairseq_prune.network.weights import Weights
from fairseq_prune.pruning.bound import counts_by_class
from fairseq_prune.pruning.pruner import Pruned
from fairseq_prune.pruning.recipe import Recipe


@dataclass(frozen=True)
class Reached:
    """Counts of what a recipe counts: weights, tiles or units.

    Args:
        things: what they are, to be read.
        total, gone: how many there are, and how many of them are gone.
        asked: the fraction asked for.
        warnings: a sentence for each thing that is not as asked.
    """

    things: str
    total: int
    gone: int
    asked: float
    warnings: tuple[str, ...] = ()

    @property
    def sparsity(self) -> float:
        """The fraction that is gone."""
        return self.gone / self.total if self.total else 0.0

    def __str__(self) -> str:
        return f"{self.sparsity:.4f} of {self.total:,} {self.things} (asked {self.asked:.4f})"


def things_of(recipe: Recipe) -> str:
    """What a recipe counts, to be read."""
    groups = recipe.groups()
    if isinstance(groups, Units):
        return f"units ({recipe.structure})"
    if isinstance(groups, Block):
        return "rows" if recipe.structure == "row" else f"tiles ({recipe.structure})"
    return "prunable weights"


def reached(
    recipe: Recipe,
    weights: Weights,
    axes: Axes | None,
    pruned: Pruned,
    asked: float,
) -> Reached:
    """What a pruning came to.

    Args:
        recipe: bound to the model.
        asked: the fraction that the schedule had now.
    """
    counts = counts_by_class(recipe, weights, axes, pruned.masks)
    before = pruned.notes.before
    total, gone = map(sum, zip((0, 0), *counts.values(), strict=True))
    things = things_of(recipe)
    totals = {label: number for label, (number, _) in counts.items()}
    sentences = [
        f"{label} had lost {before[label] / totals[label]:.2%} before, more than its "
        f"{share:.2%}: it stays so, and the other classes lose less"
        for label, share in _shares(recipe, totals, asked).items()
        if before.get(label, 0) > round_count(share, totals[label])
    ]
    if abs(gone - asked * total) > max(len(counts), 1) / 2 and not _rises(recipe):
        more = "more" if gone > asked * total else "less"
        sentences.append(
            f"{gone / max(total, 1):.2%} of {total:,} {things} are removed, {more} than the "
            f"{asked:.2%} asked{_why(recipe, bool(before), more)}"
        )
    return Reached(things, total, gone, asked, tuple(sentences))


def _shares(recipe: Recipe, totals: Mapping[str, int], asked: float) -> dict[str, float]:
    """By class, the fraction asked for; empty where a scheme does not count classes."""
    if isinstance(recipe.groups(), NofM):
        return {}
    if not recipe.scheme_entry().by_class:
        return {}
    return scaled(recipe.shares, asked, totals)


def _rises(recipe: Recipe) -> bool:
    """Whether a threshold decides how many go before its end."""
    return isinstance(recipe.timetable(), Threshold)


def _why(recipe: Recipe, any_before: bool, more: str) -> str:
    if isinstance(recipe.groups(), NofM) and any_before:
        return f": {recipe.structure} takes its part of whatever was left of each group"
    if recipe.multiple is not None:
        return f": what is left was made multiples of {recipe.multiple}"
    if recipe.keep_at_least is not None and more == "less":
        return f": --prune-keep-at-least {recipe.keep_at_least:g} lets no more of them go"
    return ": masks only shrink" if more == "more" and any_before else ""
