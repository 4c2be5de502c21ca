"""What a run says in its log: when it has pruned, and with each line of figures."""

import logging
from collections.abc import Callable, Sequence

from fairseq import metrics
from torch import nn

from fairseq_prune.network.units import Axes
from fairseq_prune.network.weights import SHADOW, Weights, of_module
from fairseq_prune.pruning.penalty_run import Penalised
from fairseq_prune.pruning.pruner import Pruned
from fairseq_prune.pruning.reached import Reached
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.pruning.rules import check_rules
from fairseq_prune.pruning.summary import (
    ClassRow,
    find_dead,
    find_unseen,
    format_table,
    left_out,
    whole,
)
from fairseq_prune.tasks._held import Held

logger = logging.getLogger("fairseq_prune")


def report(
    step: int,
    now: int,
    recipe: Recipe,
    found: Reached,
    model: nn.Module,
    pruned: Pruned,
    rows: Sequence[ClassRow],
) -> None:
    """Log the table of classes after a pruning, and what looks wrong in it.

    Args:
        step: at which the schedule has it.
        now: how many updates are completed: more, where a trained model is taken up late.
        found: what was asked for, and what it came to.
        pruned: the pruning; its notes are said (sigma and lambda of class-distribution).
    """
    masks, notes = pruned.masks, pruned.notes
    late = "" if now == step else f" (the schedule has it at {step})"
    own = {name: p for name, p in model.named_parameters() if not SHADOW.search(name)}
    logger.info(
        "pruned at update %d%s to %s, %s, masks %s\n%s\nremoved: %s",
        now, late, found, recipe.signature(), masks.digest()[:12],
        format_table(rows, notes.sigma), whole(masks, own),
    )  # fmt: skip
    layers = left_out(masks)
    if layers is not None:
        logger.info(layers)
    if notes.lambda_ is not None:
        logger.info("lambda %.6g: class c loses |w| < lambda * sigma_c", notes.lambda_)
    for sentence in (*found.warnings, *find_unseen(notes, masks), *find_dead(rows, masks)):
        logger.warning(sentence)


def report_rules(recipe: Recipe, model: nn.Module, weights: Weights, axes: Axes | None) -> None:
    """Log which weights no rule of --prune-classes names, if any.

    Raises ValueError where a rule names none.
    """
    unnamed = check_rules(recipe.resolved.classes, of_module(model), weights, axes)
    if unnamed is not None:
        logger.warning(unnamed)


def log_figures(penalty: Penalised | None, held: Held) -> None:
    """The penalty, and the sparsity over all in per cent; by class it is said at each pruning."""
    if penalty is not None:
        _log_value("penalty", lambda: penalty.value)
    if held.holder is not None:
        _log_value("sparsity", lambda: _percent(held.rows))


def _log_value(key: str, now: Callable[[], float]) -> None:
    # derived: the value in force when the line is printed, not an average over the interval. It is
    # asked for at that time: fairseq keeps the first function it is given under a key.
    metrics.log_derived(key, lambda _meters: now(), priority=500)


def _percent(rows: Sequence[ClassRow]) -> float:
    removed, prunable = sum(r.removed for r in rows), sum(r.prunable for r in rows)
    return round(100 * removed / prunable, 2)
