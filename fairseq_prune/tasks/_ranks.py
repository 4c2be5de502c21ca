"""What ranks of a distributed run have to agree on."""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from fairseq.distributed import utils as distributed


def from_first_rank(make: Callable[[], Any]) -> Any:
    """``make()`` of rank 0, on every rank. An error on rank 0 is raised on every rank.

    Args:
        make: gives tensors, containers and plain values; called on rank 0 alone.
    """
    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
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
