"""Batches of a task's own training data, for saliencies that need data."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from fairseq import utils
from fairseq.data import data_utils
from fairseq.distributed import utils as distributed
from torch import Tensor, nn

from fairseq_prune.network.probing import Sample

_MAX_TOKENS = 4096  # where the configuration limits neither tokens nor sentences

Batch = Sequence[int]  # the numbers of the examples


class _Tempered:
    """A model whose logits are divided by a temperature."""

    def __init__(self, model: nn.Module, temperature: float) -> None:
        self._model, self._temperature = model, temperature

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        output = self._model(*args, **kwargs)
        if isinstance(output, tuple):
            return (output[0] / self._temperature, *output[1:])
        return output / self._temperature

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


def sampler(task: Any, model: nn.Module, criterion: Any, data: Any) -> Callable[[int, int], Sample]:
    """A function that makes the sample: (how many batches, seed) -> Sample.

    The batches are drawn once from those of the training set, by seed; ranks share them. The
    trainer's own iterator is not touched.

    Args:
        task: with its training set loaded.
        model: not wrapped.
        data: fairseq's ``dataset`` configuration, or a Namespace that has its flags.
    """

    def make(count: int, seed: int) -> Sample:
        subset = getattr(data, "train_subset", None) or "train"
        dataset = task.dataset(subset)
        batches = _draw(task, model, dataset, data, count, seed)
        group = distributed.get_data_parallel_group() if _is_distributed() else None
        rank, ranks = (0, 1) if group is None else (
            distributed.get_rank(group), distributed.get_world_size(group)
        )  # fmt: skip
        scored = model if _is_exact(model) else copy.deepcopy(model).float()
        device = next(scored.parameters()).device

        def loss(batch: Batch, temperature: float = 1.0) -> tuple[Tensor, float]:
            with data_utils.numpy_seed(seed, int(batch[0])):
                sample = dataset.collater([dataset[int(number)] for number in batch])
            sample = utils.move_to_cuda(sample, device) if device.type == "cuda" else sample
            with torch.autocast(device.type, enabled=False):
                called = scored if temperature == 1.0 else _Tempered(scored, temperature)
                value, size, _ = criterion(called, sample)
            return value, float(size)

        def reduce(tensor: Tensor) -> None:
            if group is not None:
                distributed.all_reduce(tensor, group=group)

        return Sample(scored, batches[rank::ranks], loss, lambda b: [[n] for n in b], reduce)

    return make


def _is_distributed() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _is_exact(model: nn.Module) -> bool:
    return next(model.parameters()).dtype in (torch.float32, torch.float64)


def _draw(task: Any, model: Any, dataset: Any, data: Any, count: int, seed: int) -> list[Batch]:
    max_tokens = getattr(data, "max_tokens", None)
    max_sentences = getattr(data, "batch_size", None)
    if max_tokens is None and max_sentences is None:
        max_tokens = _MAX_TOKENS
    with data_utils.numpy_seed(seed):
        indices = dataset.ordered_indices()
        limit = utils.resolve_max_positions(task.max_positions(), model.max_positions(), max_tokens)
        indices = task.filter_indices_by_size(indices, dataset, limit, True)
        batches = list(
            dataset.batch_by_size(
                indices,
                max_tokens=max_tokens,
                max_sentences=max_sentences,
                required_batch_size_multiple=getattr(data, "required_batch_size_multiple", 1),
            )
        )
        order = np.random.permutation(len(batches))[:count]
    return [batches[int(place)] for place in order]
