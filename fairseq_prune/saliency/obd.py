"""Optimal Brain Damage: half the curvature times the weight squared (LeCun, Denker & Solla 1990).

Three stand-ins for the diagonal of the Hessian, none of them exact: the empirical Fisher of single
examples, which is never negative and takes the labels of the data for the model's own; Hutchinson's
random probes, whose mean is right and whose spread is large; and the second moments that Adam has
gathered anyway, of batches and along the run. The paper itself backpropagates second derivatives.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from fairseq_prune.maths.select import Scores
from fairseq_prune.network.probing import hessian_times, mean_of_squares
from fairseq_prune.saliency.probe import Probe

NO_MOMENTS = (
    "--prune-saliency obd-adam needs Adam's second moments: prune a checkpoint that has "
    "its optimizer state, or prune while training with --optimizer adam."
)
PROBES = 5  # random vectors of Hutchinson's estimate


def obd(probe: Probe) -> Scores:
    """The scores 1/2 h w^2, h being the mean over examples of the squared gradient.

    The empirical Fisher: it is near the Hessian where the model's predictions are near the labels.
    """
    return _damage(probe, mean_of_squares(probe.data, probe.weights, by_example=True))


def obd_hutchinson(probe: Probe) -> Scores:
    """The scores 1/2 h w^2, h being the mean of z (H z) over random signs z.

    Bekas, Kokiopoulou & Saad 2007. Exact with one z where the Hessian is diagonal. Elsewhere each
    entry has a variance of the sum of the squares of its row's other entries, over the number of z:
    with 5 of them its standard deviation is 11 times the median curvature on the embedded corpus'
    LSTM and 7.5 times on its Transformer (``scripts/bench/hutchinson.py``), so that the ranking is
    mostly noise. Where an estimate is negative, the weight goes before those without a score.
    """
    generators = {name: probe.generator(name) for name in probe.weights}
    total: dict[str, Tensor] = {}
    for _ in range(PROBES):
        signs = {
            name: _signs(weight.tensor, generators[name]) for name, weight in probe.weights.items()
        }
        for name, value in hessian_times(probe.data, signs).items():
            part = value.mul_(signs[name]).div_(PROBES)
            total[name] = total[name] + part if name in total else part
    return _damage(probe, total)


def obd_adam(probe: Probe) -> Scores:
    """The scores 1/2 h w^2, h being Adam's running mean of squared gradients of batches."""
    if probe.second_moments is None:
        raise ValueError(NO_MOMENTS)
    moments = {
        name: probe.second_moments[name].to(torch.float64, copy=True) for name in probe.weights
    }
    return _damage(probe, moments)


def _damage(probe: Probe, curvature: Mapping[str, Tensor]) -> Scores:
    products = probe.times_weight(curvature, power=2)
    return probe.scores({name: value.mul_(0.5) for name, value in products.items()})


def _signs(like: Tensor, generator: torch.Generator) -> Tensor:
    bits = torch.randint(0, 2, like.shape, generator=generator, dtype=torch.int8)
    return bits.mul_(2).sub_(1).to(like.device)
