"""A two-layer network in float64 with dropout, batches of token-like rows, and its plain loss."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_prune.network.probing import Sample
from fairseq_prune.network.weights import Weight
from fairseq_prune.saliency import Probe


class Toy(nn.Module):
    """x (n, 3) -> tanh(A x) (n, 4) -> B h (n, 5) logits."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a = nn.Linear(3, 4)
        self.drop = nn.Dropout(0.5)
        self.b = nn.Linear(4, 5)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        """The logits (n, 5)."""
        logits: Tensor = self.b(self.drop(torch.tanh(self.a(x))))
        return logits


def batches(count: int = 3) -> list[tuple[Tensor, Tensor]]:
    """Batches of 2, 3, ... rows and their classes."""
    draw = torch.Generator().manual_seed(1)
    return [
        (
            torch.randn(2 + i, 3, generator=draw, dtype=torch.float64),
            torch.randint(0, 5, (2 + i,), generator=draw),
        )
        for i in range(count)
    ]


def sample_of(model: nn.Module, data: list[Any]) -> Sample:
    """The sample of these batches."""

    def loss(batch: Any, temperature: float = 1.0) -> tuple[Tensor, float]:
        x, y = batch
        return F.cross_entropy(model(x) / temperature, y, reduction="sum"), len(y)

    def examples(batch: Any) -> list[Any]:
        return [(batch[0][i : i + 1], batch[1][i : i + 1]) for i in range(len(batch[1]))]

    return Sample(model, data, loss, examples)


def probe_of(model: nn.Module, data: list[Any], **more: Any) -> Probe:
    """A probe of the toy's two matrices."""
    names = ("a.weight", "b.weight")
    weights = {n: Weight(n, model.get_parameter(n), n) for n in names}
    return Probe(weights, sample=sample_of(model, data), **more)
