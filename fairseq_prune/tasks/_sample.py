"""Batches of a task's own training data, for saliencies that need data."""

import copy
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from fairseq import utils
from fairseq.data import data_utils
from fairseq.distributed import utils as distributed
from torch import Tensor, nn

from fairseq_prune.network.probing import Sample
from fairseq_prune.network.weights import FAIRSEQ_PAD
from fairseq_prune.tasks._readers import BERT_INPUT

_MAX_TOKENS = 4096  # where the configuration limits neither tokens nor sentences

_TELL_EVERY = 10.0  # seconds

Batch = Sequence[int]  # the numbers of the examples
Told = Callable[[int, int], None]

logger = logging.getLogger("fairseq_prune")


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


def log_progress(done: int, total: int) -> None:
    """Says in the log how far the scoring is."""
    logger.info("scored %d of %d batches", done, total)


def sampler(
    task: Any, model: nn.Module, criterion: Any, data: Any, told: Told = log_progress
) -> Callable[[int, int], Sample]:
    """A function that makes the sample: (how many batches, seed) -> Sample.

    The batches are drawn once from those of the training set, by seed; ranks share them. The
    trainer's own iterator is not touched.

    Args:
        task: with its training set loaded.
        model: not wrapped.
        data: fairseq's ``dataset`` configuration, or a Namespace that has its flags.
        told: is told now and then how many batches of how many are done, at each reading.
    """

    def make(count: int, seed: int) -> Sample:
        dataset = task.dataset(getattr(data, "train_subset", None) or "train")
        batches = _draw(task, model, dataset, data, count, seed)
        rank, ranks, reduce = _ranks()
        scored = model if _is_exact(model) else _wide_copy(model)
        device = next(scored.parameters()).device
        collater = _Collater(dataset, seed)

        def loss(batch: Batch, temperature: float = 1.0) -> tuple[Tensor, float]:
            sample = collater(batch)
            sample = utils.move_to_cuda(sample, device) if device.type == "cuda" else sample
            with torch.autocast(device.type, enabled=False), without_checkpoints(scored):
                called = scored if temperature == 1.0 else _Tempered(scored, temperature)
                value, size, _ = criterion(called, sample)
            return value, float(size)

        shared = _Told(batches[rank::ranks], told)
        return Sample(scored, shared, loss, _singles, reduce, collater.unpadded)

    return make


@contextmanager
def without_checkpoints(model: nn.Module) -> Iterator[None]:
    """Within it, --checkpoint-activations is off: torch.autograd.grad does not go through it."""
    modules: list[Any] = [m for m in model.modules() if hasattr(m, "precheckpoint_forward")]
    wrapped = [(module, module.forward) for module in modules]
    for module in modules:
        module.forward = module.precheckpoint_forward
    try:
        yield
    finally:
        for module, forward in wrapped:
            module.forward = forward


class _Told(list[Batch]):
    """Batches whose readers are followed."""

    def __init__(self, batches: Sequence[Batch], told: Told) -> None:
        super().__init__(batches)
        self._told = told

    def __iter__(self) -> Iterator[Batch]:
        last = time.monotonic()
        for done, batch in enumerate(super().__iter__()):
            if done and time.monotonic() - last >= _TELL_EVERY:
                last = time.monotonic()
                self._told(done, len(self))
            yield batch


@dataclass(frozen=True)
class _Collater:
    """Makes of examples' numbers what a model is given; what a data set draws is drawn by seed."""

    dataset: Any
    seed: int

    def __call__(self, batch: Batch) -> Any:
        with data_utils.numpy_seed(self.seed, int(batch[0])):
            return self.dataset.collater([self.dataset[int(number)] for number in batch])

    def unpadded(self, batch: Batch) -> list[Batch]:
        """The batch in parts without padding: examples of the same size, or else one by one."""
        parts = _alike(self.dataset, batch)
        # sizes can be those of before words were dropped, or pieces joined
        if any(len(part) > 1 and _is_padded(self(part)) for part in parts):
            return _singles(batch)
        return parts


def _singles(batch: Batch) -> list[Batch]:
    return [[number] for number in batch]


def _alike(dataset: Any, batch: Batch) -> list[Batch]:
    """The examples of a batch, those of the same size together (source and target, if both)."""
    groups: dict[str, list[int]] = {}
    for number in batch:
        groups.setdefault(str(dataset.size(number)), []).append(number)
    return list(groups.values())


def _is_padded(sample: Any) -> bool:
    inputs = {name: x for name, x in sample["net_input"].items() if isinstance(x, Tensor)}
    if BERT_INPUT in inputs and bool((inputs[BERT_INPUT] < 0).any()):
        return True
    return any(bool((x == FAIRSEQ_PAD).any()) for n, x in inputs.items() if n.endswith("tokens"))


def _ranks() -> tuple[int, int, Callable[[Tensor], Any]]:
    """This rank, how many there are, and what sums a tensor over them in place."""
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return 0, 1, lambda tensor: None
    group = distributed.get_data_parallel_group()
    rank, ranks = distributed.get_rank(group), distributed.get_world_size(group)
    return rank, ranks, lambda tensor: distributed.all_reduce(tensor, group=group)


def _is_exact(model: nn.Module) -> bool:
    return next(model.parameters()).dtype in (torch.float32, torch.float64)


def _wide_copy(model: nn.Module) -> nn.Module:
    """A copy in float32; what a module computes before each forward is shared until then."""
    # torch copies no tensor that was computed, such as the weight that weight normalisation makes
    inside = [value for module in model.modules() for value in vars(module).values()]
    computed = [x for x in inside if isinstance(x, Tensor) and not x.is_leaf]
    return copy.deepcopy(model, {id(x): x for x in computed}).float()


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
