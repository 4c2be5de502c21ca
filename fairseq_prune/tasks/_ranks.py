"""What ranks of a distributed run have to agree on."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from fairseq.distributed import utils as distributed
from torch import Tensor

from fairseq_prune.masks.state import Masks, pack_bits
from fairseq_prune.network.weights import Weight
from fairseq_prune.tasks._start import Start

_NAMED = 4  # tensors in a message


def several() -> bool:
    """Whether this process is one of several ranks."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def from_first_rank(make: Callable[[], Any]) -> Any:
    """``make()`` of rank 0, on every rank. An error on rank 0 is raised on every rank.

    Args:
        make: gives tensors, containers and plain values; called on rank 0 alone.
    """
    if not several():
        return make()
    group = distributed.get_data_parallel_group()
    result, error = None, None
    if distributed.get_rank(group) == 0:
        try:
            result = make()
        except ValueError as problem:
            error = str(problem)
    on_gpu = dist.get_backend() == "nccl"
    device = torch.device("cuda" if on_gpu else "cpu")
    error, result = distributed.broadcast_object(
        (error, result), src_rank=0, group=group, dist_device=device
    )
    if error is not None:
        raise ValueError(error)
    return result


def from_every_rank(value: Any) -> list[Any]:
    """What each rank has, by rank, on every rank: for digests and other plain values."""
    if not several():
        return [value]
    group = distributed.get_data_parallel_group()
    values: list[Any] = [None] * distributed.get_world_size(group)
    dist.all_gather_object(values, value, group=group)
    return values


def check_start(start: Start) -> None:
    """Refuse, on every rank, that some ranks begin with a file that others do not see.

    fairseq asks each rank whether the file is there, and only those that say so wait for it.

    Raises ValueError with the file and the ranks.
    """
    paths = from_every_rank(start.path)
    lost = [rank for rank, path in enumerate(paths) if path is None]
    if 0 < len(lost) < len(paths):
        (seen, *_) = (path for path in paths if path is not None)
        raise ValueError(
            f"{seen} is there for other ranks, but not for {_ranks(lost)}: put --save-dir, and the "
            "file to begin with, where all machines see them, or copy the file to each machine."
        )


def check_same(masks: Masks, weights: Mapping[str, Weight], when: str) -> None:
    """Refuse, on every rank, that ranks hold different masks.

    One short digest a rank is exchanged; more only when they differ.

    Args:
        when: where in the run, for the message.

    Raises ValueError with the tensors and the ranks.
    """
    if not several() or len(set(from_every_rank(masks.digest()))) == 1:
        return
    kept = from_every_rank({name: _digest(pack_bits(mask)) for name, mask in masks.items()})
    values = from_every_rank({name: _digest(w.tensor) for name, w in weights.items()})
    raise ValueError(disagreement(kept, values, when))


def disagreement(
    masks: Sequence[Mapping[str, str]], weights: Sequence[Mapping[str, str]], when: str
) -> str:
    """The sentences about ranks whose masks differ from rank 0's.

    Args:
        masks, weights: for each rank, a digest by name.
        when: where in the run.
    """
    parts, out_of_step = [], False
    for rank, mine in enumerate(masks):
        moved = set(_changed(weights[0], weights[rank]))
        names = _changed(masks[0], mine)
        if names:
            names = sorted(names, key=lambda name: name not in moved)  # where it came from, first
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            parts.append(f"rank {rank} in {', '.join(names[:_NAMED])}{more}")
            out_of_step |= bool(moved)
    cause = (
        "Their weights differ too: the ranks were out of step before, by another file, other code "
        "or another kind of GPU on one of them"
        if out_of_step
        else "Their weights are the same: data, code or hardware of these ranks differ"
    )
    return (
        f"The masks {when} differ from those of rank 0: {'; '.join(parts)}. {cause}. Mend that, "
        "and go on from the last checkpoint, which has rank 0's."
    )


def _changed(first: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    return sorted(name for name in {*first, *other} if first.get(name) != other.get(name))


def _ranks(numbers: Sequence[int]) -> str:
    return f"rank{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _digest(tensor: Tensor) -> str:
    flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return hashlib.sha256(flat.numpy().data).hexdigest()
