"""Leave one out: a layer is worth the loss of the network without it (Kim et al. 2024).

https://arxiv.org/abs/2402.02834, where it is the perplexity without the block.
"""

import torch

from fairseq_prune.maths.select import Scores
from fairseq_prune.network.layers import without
from fairseq_prune.network.probing import mean_loss
from fairseq_prune.saliency.probe import Probe


def leave_one_out(probe: Probe) -> Scores:
    """The loss per token, in nats, over the sample without each layer; those gone stay away.

    Not a difference: the loss of the whole network would be taken from all alike.
    """
    assert probe.axes is not None
    model, found = probe.data.model, {}
    for name, axis in probe.axes.items():
        losses = []
        for layer in axis.modules:
            with without(model, layer):
                losses.append(mean_loss(probe.data))
        found[name] = torch.tensor(losses, dtype=torch.float64)
    return probe.unit_scores(found)
