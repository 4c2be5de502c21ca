"""SNIP: what removing a weight would do to the loss, to first order (Lee, Ajanthan & Torr 2019)."""

from fairseq_prune.maths.select import Scores
from fairseq_prune.network.probing import gradient
from fairseq_prune.saliency.probe import Probe


def snip(probe: Probe) -> Scores:
    """The scores |w dL/dw|, of the gradient of the whole sample: summed first, then absolute."""
    products = probe.times_weight(gradient(probe.data, probe.weights))
    return probe.scores({name: value.abs_() for name, value in products.items()})
