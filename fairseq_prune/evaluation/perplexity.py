"""Perplexity as fairseq-validate logs it, before it is rounded."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from fairseq.data import data_utils
from fairseq.logging import metrics
from fairseq.logging.meters import AverageMeter, MetersDict


def bits_of(logs: Sequence[Mapping[str, Any]], task: Any, criterion: Any) -> float:
    """Bits a token costs, 2 to which is the perplexity that the criterion gives of these batches.

    What a token is, the criterion says: one of the target, or one that was masked.

    Args:
        logs: what ``task.valid_step`` logged of each batch.

    nan where the criterion gives no perplexity.
    """
    with metrics.aggregate(new_root=True) as found:
        task.reduce_metrics([_exact(log) for log in logs], criterion)
    name = _source_of(found.get("ppl")) or "nll_loss"
    # the value itself: a meter's average is it times its weight, by its weight, in other bits
    value = found[name].val if name in found else math.nan
    return float(value)


@contextmanager
def drawing(seed: int) -> Iterator[None]:
    """What tasks draw comes from a seed, such as which words are masked; afterwards as before."""
    with torch.random.fork_rng(), data_utils.numpy_seed(seed):
        torch.manual_seed(seed)
        yield


def _source_of(perplexity: Any) -> str | None:
    """The meter that a perplexity is made of: criterions give that of one loss or the other."""
    if not isinstance(perplexity, MetersDict._DerivedMeter):
        return None
    asked = _Asked()
    perplexity.fn(asked)
    return asked.names[-1] if asked.names else None


class _Asked(dict[str, AverageMeter]):
    """Meters that remember which were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __getitem__(self, name: str) -> AverageMeter:
        self.names.append(name)
        return AverageMeter()


def _exact(log: Mapping[str, Any]) -> dict[str, Any]:
    """Sums over batches in float64: in float32, as fairseq has them, they lose digits."""
    return {
        name: value.double() if isinstance(value, torch.Tensor) and value.is_floating_point()
        else value
        for name, value in log.items()
    }  # fmt: skip
