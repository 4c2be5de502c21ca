"""What a saliency may look at."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from fairseq_prune.masks.state import Masks
from fairseq_prune.maths.select import Score, Scores
from fairseq_prune.network.weights import Weight, Weights


@dataclass(frozen=True)
class Probe:
    """The network as a saliency sees it: read, never changed.

    Args:
        weights: the prunable weights by name.
        masks: what is kept so far; None before the first pruning.
        seed: for saliencies that draw numbers.
    """

    weights: Weights
    masks: Masks | None = None
    seed: int = 1

    def score(self, weight: Weight, values: Tensor, absolute: bool = False) -> Score:
        """``values`` as the weight's scores, with what is already pruned left out."""
        mask = None if self.masks is None else self.masks.get(weight.name)
        alive = None if mask is None or bool(mask.all()) else mask.to(values.device)
        return weight.score(values, absolute=absolute, alive=alive)

    def generator(self, name: str) -> torch.Generator:
        """A random generator of this weight's own: its numbers depend on seed and name alone."""
        digest = hashlib.sha256(f"{self.seed}:{name}".encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


class Saliency(Protocol):
    """What is a weight worth? Scores have the weight's shape; larger is kept."""

    def __call__(self, probe: Probe) -> Scores:
        """The scores of every weight in ``probe.weights``, by name."""
        ...


def each(probe: Probe, score: "SaliencyOfOne") -> Mapping[str, Score]:
    """The scores of a saliency that looks at one weight at a time."""
    return {name: score(probe, weight) for name, weight in probe.weights.items()}


class SaliencyOfOne(Protocol):
    """A saliency that needs no other weight than the one it scores."""

    def __call__(self, probe: Probe, weight: Weight) -> Score:
        """The weight's score."""
        ...
