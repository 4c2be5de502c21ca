"""Taylor: the squared first-order change of the loss, batch by batch (Molchanov et al. 2019)."""

from fairseq_prune.maths.select import Scores
from fairseq_prune.network.probing import mean_of_squares
from fairseq_prune.saliency.probe import Probe


def taylor(probe: Probe) -> Scores:
    """The scores (w dL_b/dw)^2, averaged over batches b.

    From one gradient of the whole sample this would rank as SNIP does.
    """
    return probe.scores(probe.times_weight(mean_of_squares(probe.data, probe.weights), power=2))
