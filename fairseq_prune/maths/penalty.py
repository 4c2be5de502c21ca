"""Penalties that make weights small before they are removed: when, how much, and on which.

They are decoupled from the optimizer, as weight decay is in AdamW: after its step, weights are
made smaller directly, and its moments never hear of it. A penalty that went through the gradient
would be divided by Adam's second moments.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fairseq_prune.maths.score import Score
from fairseq_prune.maths.structure import Block, Element

PICK = 0.01  # GReg-2 chooses when its penalty is at this share of the ceiling, as in the paper


@dataclass(frozen=True)
class Growth:
    """How a penalty grows (Wang et al. 2021, "Neural pruning via growing regularization").

    The paper adds 1e-4 every 5 steps up to 1, which takes 50,000 steps; here `raises` steps of
    equal size are spread evenly over the updates there are.

    - GReg-1: on the chosen weights, from 0 at `since` to `ceiling` at `until`.
    - GReg-2 (`picks`): in the first half on all weights, from 0 to PICK * ceiling: weights that the
      loss holds on to stay larger than others, and so the half way is the time to choose; in the
      second half on the chosen weights, on to `ceiling`. Each half has its own `raises`.

    Args:
        since, until: steps (updates completed); `since` is before the first update of it.
        ceiling: the penalty at `until`, above 0.
        raises: how many steps it takes, at least 1.
        picks: GReg-2.

    Raises ValueError for an empty stretch of time, no raises, or a ceiling that is not above 0.
    """

    since: int
    until: int
    ceiling: float
    raises: int
    picks: bool = False

    def __post_init__(self) -> None:
        if self.until <= self.since:
            raise ValueError(f"`until` must be after `since` ({self.since}), but is {self.until}.")
        if self.raises < 1:
            raise ValueError(f"`raises` must be at least 1, but is {self.raises}.")
        if not (math.isfinite(self.ceiling) and self.ceiling > 0):
            raise ValueError(f"`ceiling` must be a number above 0, but is {self.ceiling}.")

    @property
    def chosen_at(self) -> int:
        """The step at which the weights to be removed are chosen; before `until`."""
        return self.since + (self.until - self.since) // 2 if self.picks else self.since

    def at(self, step: int) -> float:
        """The penalty that follows the update which completes `step` updates; 0 outside."""
        if not self.since < step <= self.until:
            return 0.0
        low = PICK * self.ceiling if self.picks else 0.0
        if step <= self.chosen_at:
            return low * self._risen(step, self.since, self.chosen_at)
        return low + (self.ceiling - low) * self._risen(step, self.chosen_at, self.until)

    def _risen(self, step: int, start: int, end: int) -> float:
        """The share of the raises that is done: the first at the first update, all at `end`."""
        return -(-self.raises * (step - start) // (end - start)) / self.raises


def shrink_(weights: Tensor, factor: float, where: Tensor) -> None:
    """Multiply `weights` by `factor`, in place, where `where` (bool, the same shape) is True."""
    weights.mul_(torch.where(where, factor, 1.0))


def group_step_(
    weights: Tensor, structure: Element | Block, threshold: float, fixed: tuple[int, int] | None
) -> None:
    """One proximal step of group lasso, in place (Narang, Undersander and Diamos 2017).

    Each group g becomes w_g * max(0, 1 - threshold * sqrt(size_g) / ||w_g||): one whose root mean
    square is at most the threshold is zero from there on, as far as this step goes. For single
    weights it is the soft threshold of plain lasso.

    Args:
        weights: any shape of two dimensions or more.
        structure: what the groups are; groups at the edges count the weights they have.
        threshold: learning rate times strength, at least 0.
        fixed: flat range that belongs to no group and is not touched (a pad row).
    """
    summed = replace(structure, pooled="sum") if isinstance(structure, Block) else structure
    squares = weights.detach().double().square()
    norms = summed.pool(Score(squares, fixed=fixed)).values.sqrt()
    sizes = summed.pool(Score(torch.ones_like(squares), fixed=fixed)).values
    limits = threshold * sizes.sqrt()
    factors = (1.0 - limits / norms.clamp_min(torch.finfo(norms.dtype).tiny)).clamp_min(0.0)
    spread = summed.spread(factors, tuple(weights.shape)).contiguous()
    if fixed is not None:
        spread.reshape(-1)[slice(*fixed)] = 1.0
    weights.mul_(spread)
