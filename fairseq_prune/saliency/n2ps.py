"""N2PS: a unit is worth its activation times what reads it (Augasta & Kathirvalavakumar 2011)."""

from fairseq_prune.maths.select import Scores
from fairseq_prune.network.inputs import input_means, magnitudes
from fairseq_prune.saliency.probe import Probe


def n2ps(probe: Probe) -> Scores:
    """The scores sum_j |w_ij| mean |o_i|, j being what reads unit i, and o its activation.

    Our reading: the paper's units are sigmoids, whose activation is above 0; for others its
    magnitude is taken. The mean is over tokens. A head is the sum over its dimensions.
    """
    means = input_means(probe.data, probe.readings, magnitudes)
    products = {reading: mean.mul_(probe.matrix(reading).abs()) for reading, mean in means.items()}
    return probe.unit_scores(probe.sums_over_readers(products))
