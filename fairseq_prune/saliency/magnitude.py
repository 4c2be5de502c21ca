"""Magnitude: a weight is worth its absolute value (See, Luong & Manning 2016; Han et al. 2015)."""

from fairseq_prune.maths.select import Score, Scores
from fairseq_prune.network.weights import Weight
from fairseq_prune.saliency.probe import Probe, each


def magnitude(probe: Probe) -> Scores:
    """The scores |w|, as views: no weight is copied."""
    return each(probe, _score)


def _score(probe: Probe, weight: Weight) -> Score:
    return probe.score(weight, weight.effective(), absolute=True)
