"""What a run says in its log when it has pruned."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fairseq_prune.masks.state import Masks
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.pruning.summary import ClassRow, find_dead, find_unseen, format_table

logger = logging.getLogger("fairseq_prune")


def report(
    step: int,
    now: int,
    target: float,
    recipe: Recipe,
    masks: Masks,
    rows: Sequence[ClassRow],
    notes: Mapping[str, Any],
) -> None:
    """Log the table of classes after a pruning, and what looks wrong in it.

    Args:
        step: at which the schedule has it.
        now: how many updates are completed: more, where a trained model is taken up late.
        target: the sparsity asked for, in [0, 1).
        notes: what the scheme noted, sigma and lambda of class-distribution say.
    """
    late = "" if now == step else f" (the schedule has it at {step})"
    logger.info(
        "pruned at update %d%s to %.4f (asked %.4f), %s, masks %s\n%s",
        now, late, masks.sparsity(), target, recipe.signature(), masks.digest()[:12],
        format_table(rows, notes.get("sigma")),
    )  # fmt: skip
    if "lambda" in notes:
        logger.info("lambda %.6g: class c loses |w| < lambda * sigma_c", notes["lambda"])
    for sentence in (*find_unseen(notes, masks), *find_dead(rows, masks)):
        logger.warning(sentence)
