"""SynFlow: how much of the network's flow goes through a weight (Tanaka et al. 2020). Data-free.

R, the sum of a linear, positive copy's outputs, is the sum over all paths from input to output of
the product of their weights. In a chain each layer carries the whole of R, and none is removed:
the fewer of its weights are left, the more each is worth. An encoder and a decoder add two inputs
at unequal depth, and the paths of one are many orders of magnitude larger: a target table can
carry 2e-8 of R, and then goes whole. With two inputs we therefore differ from the paper:

- The copy divides what each matrix puts out by its mean, so that what meets in a sum (residual
  connections, query, key and value, gates, the two halves that an attention reads) is of one size.
- R is the product of R_m over all matrices m, R_m being what flows along the paths through m. It
  is zero as soon as one of them carries nothing, which the sum does not notice.

In a chain neither changes the ranking: each R_m is R. The scores are those of log R, in a unit in
which they are the mean, over the M matrices, of the shares of R_m, times the sum of the outputs.
Each R_m is conserved as R is (theorem 1), and so are they: what comes into a hidden unit goes out
of it, and every cut between inputs and outputs carries the whole sum. A matrix carries 1 / M of it
at least, and so does its last weight; where no path takes a matrix twice, n weights carry 1 / n
each at most, on average. So none goes while another has more than M weights (in a chain: one).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from fairseq_prune.maths.select import Scores
from fairseq_prune.saliency.probe import Probe


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
        if flow.gates:
            total = _product(total, flow.gates)
        through = torch.autograd.grad(total, weights, allow_unused=True)
    scores = {
        name: torch.zeros_like(weight) if gradient is None else weight.detach() * gradient
        for name, weight, gradient in zip(probe.weights, weights, through, strict=True)
    }
    return probe.scores(scores)


def _product(total: Tensor, gates: Sequence[Tensor]) -> Tensor:
    """The mean of log R_m over all matrices that carry flow, times ``total``.

    Matrices that are not to be pruned count too: the way to them has to stay open.
    """
    flows = torch.autograd.grad(total, gates, allow_unused=True, create_graph=True)
    logs = [flow.log() for flow in flows if flow is not None and bool(flow.detach() > 0)]
    return total.detach() * torch.stack(logs).mean() if logs else total
