"""Wanda: a weight is worth its size times that of its input (Sun, Liu, Bair & Kolter 2023)."""

from fairseq_prune.maths.select import Scores
from fairseq_prune.network.inputs import squared_inputs
from fairseq_prune.network.weights import Weight
from fairseq_prune.saliency.probe import Probe


def wanda(probe: Probe) -> Scores:
    """The scores |w_ij| |x_j|, x_j being the j-th input over all tokens of the sample.

    No gradients. The paper ranks within each output; here, the scheme says who is ranked with whom.

    Raises ValueError for a weight that is no plain matrix.
    """
    for weight in probe.weights.values():
        _check_matrix(weight)
    squares = squared_inputs(probe.data, probe.weights)
    products = probe.times_weight({name: value.sqrt_() for name, value in squares.items()})
    return probe.scores({name: value.abs_() for name, value in products.items()})


def _check_matrix(weight: Weight) -> None:
    if weight.tensor.dim() != 2 or weight.gain is not None:
        what = "a convolution's kernel" if weight.tensor.dim() != 2 else "weight-normalised"
        raise ValueError(
            f"--prune-saliency wanda scores matrices, and {weight.name} is {what}; use taylor or "
            "snip, or leave it out with --prune-exclude."
        )
