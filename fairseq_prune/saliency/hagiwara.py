"""Three scores of hidden units (Hagiwara 1994): what a unit sends to the units that read it.

Our reading, beside the sums over patterns p, here tokens: the activation o_j of a reader is what
its matrix puts out, before biases of its own, residual connections and nonlinearities; a head is
the sum over its dimensions. A matrix whose product multiplies the unit's value (an LSTM's
``attention.input_proj``) reads it turned, once a token.
"""

from fairseq_prune.maths.select import Scores
from fairseq_prune.network.inputs import energy, input_sums, squares
from fairseq_prune.saliency.probe import Probe


def goodness_factor(probe: Probe) -> Scores:
    """The scores sum_p sum_j (w_ij o_i)^2."""
    totals = input_sums(probe.data, probe.readings, squares)
    sent = {r: total.mul_(probe.matrix(r).square()) for r, total in totals.items()}
    return probe.unit_scores(probe.sums_over_readers(sent))


def consuming_energy(probe: Probe) -> Scores:
    """The scores sum_p sum_j w_ij o_i o_j. They have a sign: what is below 0 goes first."""
    shares = input_sums(probe.data, probe.readings, energy)  # each j has an equal share
    return probe.unit_scores(probe.sums_over_readers(shares))


def weights_power(probe: Probe) -> Scores:
    """The scores sum_j w_ij^2."""
    powers = {reading: probe.matrix(reading).square() for reading in probe.readings}
    return probe.unit_scores(probe.sums_over_readers(powers))
