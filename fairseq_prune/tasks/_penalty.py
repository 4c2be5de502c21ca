"""When a criterion's penalty learns which weights to remove, and when they are removed."""

import logging
from dataclasses import replace

from fairseq_prune.network.weights import Weights
from fairseq_prune.pruning.penalty_run import Penalised, size_ratio
from fairseq_prune.pruning.pruner import Pruned, find_extremes

logger = logging.getLogger("fairseq_prune")


def choose(penalty: Penalised, step: int, until: int, weights: Weights, pruned: Pruned) -> None:
    """Tell the penalty which weights will be removed, and the log.

    Args:
        step: updates completed.
        until: the step at which they will be removed.
        pruned: what a one-shot pruning would leave now.
    """
    penalty.choose(pruned)
    logger.info(
        "chosen at update %d, to be removed at update %d: %r; their root mean square is %.2g of "
        "that of the others",
        step, until, pruned.masks, size_ratio(weights, pruned.masks),
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
