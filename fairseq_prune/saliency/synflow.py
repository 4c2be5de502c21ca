"""SynFlow: how much of the network's flow goes through a weight (Tanaka et al. 2020). Data-free."""

import torch

from fairseq_prune.maths.select import Scores
from fairseq_prune.saliency.probe import Probe

ROUNDS = 100  # rounds, density rho^(k / 100) after the k-th: the paper's way past layer collapse


def synflow(probe: Probe) -> Scores:
    """The scores |w| dR/d|w|, R being the sum of a linear, positive copy's outputs.

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
        through = torch.autograd.grad(flow.run(flow.model).sum(), weights, allow_unused=True)
    scores = {
        name: torch.zeros_like(weight) if gradient is None else weight.detach() * gradient
        for name, weight, gradient in zip(probe.weights, weights, through, strict=True)
    }
    return probe.scores(scores)
