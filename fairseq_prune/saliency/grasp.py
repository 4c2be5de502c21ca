"""GraSP: keep what the gradient's flow depends on (Wang, Zhang & Grosse 2020)."""

from fairseq_prune.maths.select import Scores
from fairseq_prune.network.probing import gradient, hessian_times
from fairseq_prune.saliency.probe import Probe

TEMPERATURE = 200.0  # of the logits, as in the paper's code: a new network's softmax made even


def grasp(probe: Probe) -> Scores:
    """The scores w (H g), g and H being gradient and Hessian of the sample's loss.

    The paper removes the largest of -w (H g): those without which the gradient gets larger. It
    does so before training; of a trained network, whose gradient is nearly 0, the order says
    little. Scores have a sign: rows that the sample leaves without one, 0, rank in the middle.
    """
    g = gradient(probe.data, probe.weights, TEMPERATURE)
    return probe.scores(probe.times_weight(hessian_times(probe.data, g, TEMPERATURE)))
