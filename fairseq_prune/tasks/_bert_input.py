"""What a model reads beside the task's own inputs, made where batches are made.

A BERT-fused model needs BERT's pieces of each sentence. It can make them of the source tokens it
is given; but in training it is better done by the workers that prepare batches.
"""

import weakref
from dataclasses import dataclass
from typing import Any

from torch import nn

BERT_INPUT = "bert_input"  # in net_input: numbers of pieces, negative for padding


class Readers:
    """Those of the models that a task has built, as long as they live."""

    def __init__(self) -> None:
        self._models: list[weakref.ref[nn.Module]] = []

    def add(self, model: nn.Module) -> None:
        """Remember a model."""
        self._models.append(weakref.ref(model))

    def attach(self, dataset: Any) -> None:
        """Make a data set's batches carry what the models read.

        Models that read differently, or a plain one among them, are given nothing: each then makes
        its own.
        """
        alive = [
            model for model in (reference() for reference in self._models) if model is not None
        ]
        readers: list[Any] = [getattr(model, "source_reader", None) for model in alive]
        if dataset is None or not readers or None in readers:
            return
        if all(reader.settings == readers[0].settings for reader in readers):
            dataset.collater = _Collater(dataset.collater, readers[0])


@dataclass(frozen=True)
class _Collater:
    """A data set's collater, and a reader on its source tokens: in the order they have there."""

    collater: Any
    reader: Any

    def __call__(self, samples: list[Any], *args: Any, **kwargs: Any) -> Any:
        batch = self.collater(samples, *args, **kwargs)
        tokens = (batch or {}).get("net_input", {}).get("src_tokens")
        if tokens is not None:
            batch["net_input"][BERT_INPUT] = self.reader(tokens)
        return batch
