"""Batches of a task's own training data, for saliencies that need data."""

import copy
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from fairseq import utils
from fairseq.data import RoundRobinZipDatasets, data_utils
from fairseq.distributed import utils as distributed
from torch import Tensor, nn

from fairseq_prune.network.probing import Sample
from fairseq_prune.network.weights import FAIRSEQ_PAD
from fairseq_prune.tasks._bert_input import BERT_INPUT
from fairseq_prune.tasks._draws import drawn_by
from fairseq_prune.tasks._step import Step

_MAX_TOKENS = 4096  # where the configuration limits neither tokens nor sentences

_TELL_EVERY = 10.0  # seconds

Batch = Sequence[int]  # the numbers of the examples
Told = Callable[[int, int], None]

logger = logging.getLogger("fairseq_prune")


def log_progress(done: int, total: int) -> None:
    """Says in the log how far the scoring is."""
    logger.info("scored %d of %d batches", done, total)


def sampler(
    task: Any,
    model: nn.Module,
    criterion: Any,
    data: Any,
    told: Told = log_progress,
    updates: Callable[[], int] = lambda: 0,
) -> Callable[[int, int], Sample]:
    """A function that makes the sample: (how many batches, seed) -> Sample.

    The batches are drawn once from those of the training set, by seed; ranks share them. The
    trainer's own iterator is not touched. The loss is that of the task's own step.

    Args:
        task: with its training set loaded.
        model: not wrapped.
        data: fairseq's ``dataset`` configuration, or a Namespace that has its flags.
        told: is told now and then how many batches of how many are done, at each reading.
        updates: how many updates are completed.
    """

    def make(count: int, seed: int) -> Sample:
        dataset = task.dataset(getattr(data, "train_subset", None) or "train")
        rank, ranks, reduce = _ranks()
        batches = _Told(_draw(task, model, dataset, data, count, seed)[rank::ranks], told)
        scored = model if _is_exact(model) else _wide_copy(model)
        device = next(scored.parameters()).device
        collater = _Collater(dataset, seed)
        step = Step(task, scored, criterion, updates, () if scored is model else (model,))

        def loss(batch: Batch, temperature: float = 1.0) -> tuple[Tensor, float]:
            with drawn_by(collater.seed_of(batch)):
                made = collater(batch)
                sample = utils.move_to_cuda(made, device) if device.type == "cuda" else made
                with torch.autocast(device.type, enabled=False), without_checkpoints(scored):
                    return step(sample, temperature, alone=isinstance(batch, _OfPart))

        return Sample(scored, batches, loss, collater.singles, reduce, collater.unpadded)

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

    def seed_of(self, batch: Batch) -> int:
        """That of a batch: what is drawn for it is the same at each asking."""
        return int(hash((self.seed, int(batch[0]))) % 1e6)  # as fairseq's numpy_seed

    def __call__(self, batch: Batch) -> Any:
        with drawn_by(self.seed_of(batch)):
            sample = self.dataset.collater([self.dataset[int(number)] for number in batch])
        return batch.only(sample) if isinstance(batch, _OfPart) else sample

    def singles(self, batch: Batch) -> list[Batch]:
        """The batch in examples; where it is of several data sets, those of each."""
        if isinstance(batch, _OfPart) or not _is_zipped(self.dataset):
            return _one_by_one(batch)
        return [_OfPart([n], part) for n in batch for part in self.dataset.datasets]

    def unpadded(self, batch: Batch) -> list[Batch]:
        """The batch in parts without padding: examples of the same size, or else one by one."""
        parts = _alike(self.dataset, batch)
        # sizes can be those of before words were dropped, or pieces joined
        if any(len(part) > 1 and _is_padded(self(part)) for part in parts):
            return _one_by_one(batch)
        return parts


class _OfPart(list[int]):
    """Of the examples that a data set of several zips together, those of one of them."""

    def __init__(self, numbers: Iterable[int], part: str) -> None:
        super().__init__(numbers)
        self._part = part

    def only(self, sample: Any) -> Any:
        """The sample with nothing but its own part."""
        return {name: s if name == self._part else None for name, s in sample.items()}


def _is_zipped(dataset: Any) -> bool:
    """Whether an example is one of each of several data sets, of language pairs say."""
    return isinstance(dataset, RoundRobinZipDatasets) and dataset.eval_key is None


def _one_by_one(batch: Batch) -> list[Batch]:
    return [[number] for number in batch]


def _alike(dataset: Any, batch: Batch) -> list[Batch]:
    """The examples of a batch, those of the same size together (source and target, if both)."""
    groups: dict[str, list[int]] = {}
    for number in batch:
        groups.setdefault(str(dataset.size(number)), []).append(number)
    return list(groups.values())


def _is_padded(sample: Any) -> bool:
    for name, x in sample.items():
        if isinstance(x, Mapping) and _is_padded(x):
            return True
        if not isinstance(x, Tensor):
            continue
        if name == BERT_INPUT and bool((x < 0).any()):
            return True
        # the tokens of speech are numbers of another kind: lengths tell
        if name.endswith("lengths") and bool((x != x.flatten()[:1]).any()):
            return True
        if name.endswith("tokens") and not x.is_floating_point() and bool((x == FAIRSEQ_PAD).any()):
            return True
    return False


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
        # several data sets were put in order when they were first asked, perhaps by the trainer
        anew = data_utils.numpy_seed(seed) if _is_zipped(dataset) else nullcontext()
        with anew:
            order = np.random.permutation(len(batches))[:count]
    return [batches[int(place)] for place in order]
