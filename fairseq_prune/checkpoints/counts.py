"""What a model has: weights, those that are not zero, and work for each token."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fairseq_prune.checkpoints.checkpoint import Opened
from fairseq_prune.network.ties import nonzero_count, parameter_count
from fairseq_prune.network.weights import Weights
from fairseq_prune.network.work import Work, work


@dataclass(frozen=True)
class Counts:
    """Weights and work.

    Args:
        parameters, nonzero: of the whole model, shared ones once.
        dense, sparse: multiply-adds for a source and a target token, with all the weights of its
            matrices and with those that are not zero.
    """

    parameters: int
    nonzero: int
    dense: Work
    sparse: Work

    @property
    def work_sparsity(self) -> float:
        """The fraction of the multiply-adds that zeros would save a program that skips them."""
        return 1.0 - self.sparse.pair / self.dense.pair if self.dense.pair else 0.0

    def as_dict(self) -> dict[str, Any]:
        """The counts for JSON."""
        return {
            "parameters": self.parameters,
            "nonzero": self.nonzero,
            "multiply_adds_per_source_token": [self.dense.source, self.sparse.source],
            "multiply_adds_per_target_token": [self.dense.target, self.sparse.target],
            "work_sparsity": self.work_sparsity,
        }


def count(opened: Opened) -> Counts:
    """The counts of a checkpoint."""
    model = opened.content["model"]
    weights: Weights = opened.weights
    used = {name: int((weight.tensor != 0).sum()) for name, weight in weights.items()}
    return Counts(
        parameter_count(model),
        nonzero_count(model),
        work(weights),
        work(weights, used),
    )


def together(every: Sequence[Counts]) -> Counts:
    """The counts of models that all take part in each translation; of one, its own."""

    def work_of(pick: Callable[[Counts], Work]) -> Work:
        return Work(sum(pick(c).source for c in every), sum(pick(c).target for c in every))

    return Counts(
        sum(c.parameters for c in every),
        sum(c.nonzero for c in every),
        work_of(lambda c: c.dense),
        work_of(lambda c: c.sparse),
    )
