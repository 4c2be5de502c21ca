"""Taylor: the squared first-order change of the loss, batch by batch (Molchanov et al. 2019)."""

from torch import Tensor

from fairseq_prune.maths.select import Scores
from fairseq_prune.network.probing import mean_of_squares, mean_over
from fairseq_prune.saliency.probe import Probe


def taylor(probe: Probe) -> Scores:
    """The scores (w dL_b/dw)^2, averaged over batches b.

    From one gradient of the whole sample this would rank as SNIP does.
    """
    return probe.scores(probe.times_weight(mean_of_squares(probe.data, probe.weights), power=2))


def taylor_units(probe: Probe) -> Scores:
    """The scores (sum of w dL_b/dw over the unit's weights)^2, averaged over batches b.

    The paper's equation 8 over a group. Biases, which no mask covers, are left out.
    """

    def changes(gradients: dict[str, Tensor]) -> dict[str, Tensor]:
        sums = probe.sums_over_units(probe.times_weight(gradients))
        return {name: value.square() for name, value in sums.items()}

    return probe.unit_scores(mean_over(probe.data, probe.weights, changes))
