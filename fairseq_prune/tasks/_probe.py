"""What a saliency may look at inside a training run."""

import logging
from collections.abc import Callable

from torch import nn

from fairseq_prune.masks.state import Masks
from fairseq_prune.network.probing import Sample
from fairseq_prune.network.units import Axes
from fairseq_prune.network.weights import Weights
from fairseq_prune.pruning.checks import SEEDS
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.saliency import Probe
from fairseq_prune.tasks._flow import flow_of
from fairseq_prune.tasks._optimizer import Copies

logger = logging.getLogger("fairseq_prune")

Sampler = Callable[[int, int], Sample]  # count and seed to a sample


def seed_of(recipe: Recipe, moved_at: int | None = None) -> int:
    """That of the sample: what is scored again is scored on the same; exchanges see new batches.

    Args:
        moved_at: the step of an exchange, else None.
    """
    return int(recipe.resolved.seed + (moved_at or 0)) % SEEDS


def probe_of(
    recipe: Recipe,
    model: nn.Module,
    weights: Weights,
    masks: Masks | None,
    copies: Copies,
    sampler: Sampler | None,
    moved_at: int | None,
    axes: Axes | None,
) -> Probe:
    """A probe with what the recipe needs, and no more: samples and linear copies cost time.

    Args:
        moved_at: the step, where weights are exchanged along the gradient (RigL), else None.
    """
    settings, needs = recipe.resolved, recipe.needs
    sample = None
    if "data" in needs:
        assert sampler is not None and settings.score_batches is not None
        what = recipe.saliency or "magnitude" if moved_at is None else "gradient"
        logger.info("scoring weights (%s) on %d batches", what, settings.score_batches)
        sample = sampler(settings.score_batches, seed_of(recipe, moved_at))
    return Probe(
        weights,
        masks,
        settings.seed,
        sample,
        copies.second_moments(weights) if "adam" in needs else None,
        flow_of(model) if "network" in needs else None,
        axes,
    )
