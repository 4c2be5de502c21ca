"""Random: the control that every saliency has to beat."""

import torch

from fairseq_prune.maths.select import Score, Scores
from fairseq_prune.network.weights import Weight
from fairseq_prune.saliency.probe import Probe, each


def random(probe: Probe) -> Scores:
    """Scores drawn uniformly from [0, 1); the same seed and weight name give the same numbers.

    So a gradual schedule removes in one fixed random order, and every rank draws alike.
    """
    return each(probe, _score)


def random_units(probe: Probe) -> Scores:
    """The same for units, by axis."""
    assert probe.axes is not None
    return probe.unit_scores(
        {
            name: torch.rand(axis.units, generator=probe.generator(name))
            for name, axis in probe.axes.items()
        }
    )


def _score(probe: Probe, weight: Weight) -> Score:
    drawn = torch.rand(weight.tensor.shape, generator=probe.generator(weight.name))
    return probe.score(weight, drawn.to(weight.tensor.device))
