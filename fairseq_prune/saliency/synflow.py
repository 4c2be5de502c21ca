"""SynFlow: how much of the network's flow goes through a weight (Tanaka et al. 2020). Data-free.

R, the sum of a linear, positive copy's outputs, is the sum over all paths from input to output of
the product of their weights. In a network with one input each layer carries the whole R, and so
none can be removed: a layer's last weights have the highest scores. R of an encoder and a decoder
adds two inputs of unequal depth, and each factor of the deeper paths outgrows the shorter: the
target table of a LSTM carries 1e-8 of R, and is no layer in that sense. There we differ:

- The copy divides each matrix' product by its mean, so that what meets in a sum (residual
  connections, query, key and value, gates, both halves of what an attention reads) is of one size.
- R is the product of R_m over all matrices m, R_m being what flows along the paths through m: it
  is zero as soon as one matrix carries nothing, where a sum does not see it.

Both change no ranking in a chain, where all R_m are R. The scores are those of log R, times the
sum of the outputs and over the number of matrices: each R_m has an equal share of that sum. So the
scores, each a sum of flows, are conserved as the paper's are (theorem 1): what comes into a hidden
unit goes out of it, every cut between the inputs and the outputs carries the whole sum, and every
matrix at least its own share.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from fairseq_prune.maths.select import Scores
from fairseq_prune.saliency.probe import Probe

ROUNDS = 100  # rounds, density rho^(k / 100) after the k-th: the paper's way past layer collapse


def synflow(probe: Probe) -> Scores:
    """The scores |w| dR/d|w|.

    The copy sees only what the masks keep.
    """
    flow = probe.linear
    named = dict(flow.model.named_parameters(remove_duplicate=False))
    weights = [named[name] for name in probe.weights]
    with torch.no_grad():
        for name, weight in zip(probe.weights, weights, strict=True):
            if probe.masks is not None and name in probe.masks:
                weight.mul_(probe.masks[name].to(weight.device))
    with torch.enable_grad():
        total = flow.run(flow.model).sum()
        if flow.inputs > 1:
            total = _product(total, list(flow.model.parameters()))
        through = torch.autograd.grad(total, weights, allow_unused=True)
    scores = {
        name: torch.zeros_like(weight) if gradient is None else weight.detach() * gradient
        for name, weight, gradient in zip(probe.weights, weights, through, strict=True)
    }
    return probe.scores(scores)


def _product(total: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """The mean of log R_m over all matrices that carry flow, times ``total``.

    Matrices that are not to be pruned count too: the way to them has to stay open.
    """
    through = torch.autograd.grad(total, matrices, allow_unused=True, create_graph=True)
    flows = [(w * g).sum() for w, g in zip(matrices, through, strict=True) if g is not None]
    logs = [flow.log() for flow in flows if bool(flow.detach() > 0)]
    return total.detach() * torch.stack(logs).mean() if logs else total
