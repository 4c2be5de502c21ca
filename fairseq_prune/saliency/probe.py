"""What a saliency may look at."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from fairseq_prune.masks.state import Masks
from fairseq_prune.maths.select import Score, Scores
from fairseq_prune.network.inputs import Reading
from fairseq_prune.network.probing import Sample, gradient
from fairseq_prune.network.unit_masks import Which, gone, sums, sums_over_readers
from fairseq_prune.network.units import Axes
from fairseq_prune.network.weights import Weight, Weights

_NAMED = 4  # weights in a message


@dataclass(frozen=True)
class Flow:
    """A linear, positive copy of the network, made to be changed, and how to run it.

    Args:
        model: from :mod:`fairseq_prune.network.linearise`.
        run: gives its outputs, for an input of nothing but ones.
        gates: where a decoder reads words of its own beside the encoder's, the gates of the
            matrices: from :func:`fairseq_prune.network.linearise.normalised_copy`.
    """

    model: nn.Module
    run: Callable[[nn.Module], Tensor]
    gates: Sequence[Tensor] = ()


@dataclass(frozen=True)
class Probe:
    """The network as a saliency sees it: read, never changed.

    Args:
        weights: the prunable weights by name.
        masks: what is kept so far; None before the first pruning.
        seed: for saliencies that draw numbers.
        sample: the batches to score on, for saliencies that need data.
        flow: the linear copy, for SynFlow.
        second_moments: Adam's ``exp_avg_sq`` by weight name, for saliencies that need it.
        axes: of the units that are to be pruned, where units are.
        partial: whether the sample is a part of what is scored on, which some weights may not see.
    """

    weights: Weights
    masks: Masks | None = None
    seed: int = 1
    sample: Sample | None = None
    second_moments: Mapping[str, Tensor] | None = None
    flow: Flow | None = None
    axes: Axes | None = None
    partial: bool = False

    @property
    def linear(self) -> Flow:
        """The linear copy; raises ValueError where there is none."""
        if self.flow is None:
            raise ValueError(
                "this saliency needs the network itself: use it in fairseq-train, or give "
                "--data DATA to fairseq-prune apply, for the dictionaries."
            )
        return self.flow

    @property
    def data(self) -> Sample:
        """The sample; raises ValueError where there is none."""
        if self.sample is None:
            raise ValueError(
                "this saliency scores on data, and there is none: give it in fairseq-train, or "
                "--data DATA to fairseq-prune apply."
            )
        return self.sample

    def gradient(self) -> dict[str, Tensor]:
        """dL/dw of each weight, by name, over the sample; float64. Raises ValueError without."""
        return gradient(self.data, self.weights)

    def times_weight(self, values: Mapping[str, Tensor], power: int = 1) -> dict[str, Tensor]:
        """Each of ``values`` (float64) times the weight to a power, in place, by name."""
        for name, value in values.items():
            weight = self.weights[name].tensor.detach().to(value)
            for _ in range(power):
                value.mul_(weight)
        return dict(values)

    def score(self, weight: Weight, values: Tensor, absolute: bool = False) -> Score:
        """``values`` as the weight's scores, with what is already pruned left out."""
        mask = None if self.masks is None else self.masks.get(weight.name)
        alive = None if mask is None or bool(mask.all()) else mask.to(values.device)
        return weight.score(values, absolute=absolute, alive=alive)

    def scores(self, values: Mapping[str, Tensor]) -> Scores:
        """``values`` of all weights as scores.

        Raises ValueError naming a tensor whose values are not numbers, or are all zero while
        nothing is pruned yet: then the loss does not see it, and the ranking would remove it whole.
        """
        for name, value in values.items():
            total = float(value.sum())  # where it is a number other than 0, this reading is enough
            if not math.isfinite(total) and not bool(torch.isfinite(value).all()):
                raise ValueError(
                    f"the scores of {name} are not all finite: the model has diverged."
                )
            whole = self.masks is None and not self.partial
            if whole and total == 0.0 and not bool(value.any()):
                raise ValueError(all_zero([name]))
        return {name: self.score(self.weights[name], value) for name, value in values.items()}

    @property
    def readings(self) -> list[Reading]:
        """The matrices that read the units' values, each with the dimension that does."""
        assert self.axes is not None
        places = [place for axis in self.axes.values() for place in axis.readers]
        return list(dict.fromkeys((place.name, place.dim) for place in places))

    def matrix(self, reading: Reading) -> Tensor:
        """The weight of a reading, in float64."""
        return self.weights[reading[0]].tensor.detach().double()

    def sums_over_readers(self, values: Mapping[Reading, Tensor]) -> dict[str, Tensor]:
        """By axis, the sum of ``values`` (of the weights' shapes) over what reads each unit."""
        assert self.axes is not None
        return {n: sums_over_readers(axis, values) for n, axis in self.axes.items()}

    def sums_over_units(
        self, values: Mapping[str, Tensor], part: Which = "places"
    ) -> dict[str, Tensor]:
        """By axis, the sum of ``values`` (of the weights' shapes) over each unit's weights.

        Args:
            part: which of the unit's weights count.
        """
        assert self.axes is not None
        return {n: sums(axis, values, part) for n, axis in self.axes.items()}

    def unit_scores(self, values: Mapping[str, Tensor]) -> Scores:
        """``values`` of all units, by axis, as scores, with the units that are gone left out.

        Raises ValueError naming an axis whose values are not numbers.
        """
        assert self.axes is not None
        scores = {}
        for name, axis in self.axes.items():
            if not bool(torch.isfinite(values[name]).all()):
                raise ValueError(
                    f"the scores of {name} are not all finite: the model has diverged."
                )
            away = gone(axis, self.masks or {}, self.weights).to(values[name].device)
            scores[name] = Score(values[name], alive=~away if bool(away.any()) else None)
        return scores

    def generator(self, name: str) -> torch.Generator:
        """A random generator of this weight's own: its numbers depend on seed and name alone."""
        digest = hashlib.sha256(f"{self.seed}:{name}".encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def all_zero(names: Sequence[str]) -> str:
    """The sentence about weights that the loss does not depend on."""
    shown, more = ", ".join(names[:_NAMED]), len(names) - _NAMED
    them = "it" if len(names) == 1 else "them"
    return (
        f"the scores of {shown}{f' and {more} more' if more > 0 else ''} are all zero: the loss "
        f"does not depend on {them}; leave {them} out with --prune-exclude, or choose another "
        "--prune-saliency."
    )


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
