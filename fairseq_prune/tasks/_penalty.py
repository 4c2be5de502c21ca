"""When a criterion's penalty learns which weights to remove, and when they are removed."""

import logging
from collections.abc import Callable
from dataclasses import replace

from fairseq_prune.network.weights import Weights
from fairseq_prune.pruning.penalised import Penalised, size_ratio
from fairseq_prune.pruning.pruner import Pruned, find_extremes

logger = logging.getLogger("fairseq_prune")


def choose(
    penalty: Penalised, step: int, weights: Weights, score: Callable[[float], Pruned]
) -> None:
    """Choose the weights that will be removed, if it is time to.

    Args:
        step: updates completed.
        score: what a one-shot pruning to a sparsity would leave now.
    """
    if not penalty.is_time_to_choose(step):
        return
    settings = penalty.recipe.settings
    pruned = score(settings["sparsity"])
    penalty.choose(pruned)
    logger.info(
        "chosen at update %d, to be removed at update %d: %r; their root mean square is %.2g of "
        "that of the others",
        step, settings["start"], pruned.masks, size_ratio(weights, pruned.masks),
    )  # fmt: skip


def release(penalty: Penalised | None, weights: Weights) -> Pruned | None:
    """What was chosen, to be removed now; None where a scheme is to choose as always."""
    pruned = None if penalty is None else penalty.release()
    if pruned is None:
        return None
    logger.info(
        "the root mean square of the chosen weights is %.2g of that of the others now",
        size_ratio(weights, pruned.masks),
    )
    masks = {name: mask.to(weights[name].tensor.device) for name, mask in pruned.masks.items()}
    return replace(pruned, extremes=find_extremes(weights, masks))
