"""What is removed of a model as a whole: sparsity is of the prunable weights, which are not all."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from fairseq_prune.masks.state import Masks
from fairseq_prune.network.weights import is_embedding


@dataclass(frozen=True)
class Whole:
    """Counts over a whole model; a tied tensor counts once.

    Args:
        prunable, removed: weights that masks cover, pad rows apart, and those that they remove.
        parameters: everything in the model, biases, normalisation, excluded weights and pad rows
            included.
        embeddings, removed_embeddings: the part of them that lies in embedding tables; one that is
            tied to the softmax is a table.
    """

    prunable: int
    removed: int
    parameters: int
    embeddings: int
    removed_embeddings: int

    @property
    def sparsity(self) -> float:
        """The fraction of the prunable weights that is removed."""
        return self.removed / self.prunable if self.prunable else 0.0

    @property
    def of_all(self) -> float:
        """The fraction of all parameters that is removed."""
        return self.removed / self.parameters if self.parameters else 0.0

    @property
    def of_others(self) -> float:
        """The fraction that is removed of the parameters outside of embedding tables."""
        others = self.parameters - self.embeddings
        return (self.removed - self.removed_embeddings) / others if others else 0.0

    def __str__(self) -> str:
        return (
            f"{self.sparsity:.2%} of {self.prunable:,} prunable weights ({self.of_all:.2%} of all "
            f"{self.parameters:,} parameters, {self.of_others:.2%} without embeddings)"
        )

    def as_dict(self) -> dict[str, Any]:
        """The counts and fractions for JSON."""
        fractions = {"sparsity_of_all": self.of_all, "sparsity_without_embeddings": self.of_others}
        return {**asdict(self), **fractions}


def whole(masks: Masks | None, parameters: Mapping[str, Tensor]) -> Whole:
    """The counts of a model under masks, or under none.

    Args:
        parameters: by name, tied ones once (:func:`fairseq_prune.network.ties.parameters_in`).
    """
    masks = masks or Masks({})
    tables = {name: value for name, value in parameters.items() if is_embedding(name)}
    return Whole(
        prunable=masks.prunable_in_all(),
        removed=masks.removed_in_all(),
        parameters=sum(value.numel() for value in parameters.values()),
        embeddings=sum(value.numel() for value in tables.values()),
        removed_embeddings=sum(masks.removed(name) for name in masks if is_embedding(name)),
    )
