"""Mutual information of variables cut into bins."""

from collections.abc import Callable

import torch
from torch import Tensor

# the quartiles of a standard normal distribution
EDGES = torch.tensor([-0.6744897501960817, 0.0, 0.6744897501960817], dtype=torch.float64)
BINS = len(EDGES) + 1


def one_hot(values: Tensor, reduce: Callable[[Tensor], None] = lambda tensor: None) -> Tensor:
    """Each variable's bin, at the quartiles of a normal distribution of its mean and deviation.

    Args:
        values: ``(examples, variables)``.
        reduce: sums a tensor over all ranks, in place; each has some of the examples.

    Returns: float32, ``(examples, variables, BINS)``; a constant variable is in one bin.
    """
    values = values.double()
    size, ones = values.new_tensor([len(values)]), values.sum(dim=0)
    reduce(size)
    reduce(ones)
    centred = values - ones / size.clamp_min(1)
    squares = centred.square().sum(dim=0)
    reduce(squares)
    deviation = (squares / size.clamp_min(1)).sqrt()
    scaled = centred / deviation.where(deviation > 0, torch.inf)
    bins = torch.bucketize(scaled, EDGES.to(values.device))
    return torch.nn.functional.one_hot(bins, BINS).float()


def mutual_information_of(
    one: Tensor, other: Tensor, reduce: Callable[[Tensor], None] = lambda tensor: None
) -> Tensor:
    """The mutual information of each variable of one with each of the other, in nats.

    Args:
        one, other: from :func:`one_hot`, ``(examples, n, BINS)`` and ``(examples, m, BINS)``.

    Returns: float64, ``(n, m)``; the plug-in estimate.
    """
    found = [_information(part, other, reduce) for part in one.split(256, dim=1)]
    return torch.cat(found) if found else torch.zeros(0, other.shape[1], dtype=torch.float64)


def _information(one: Tensor, other: Tensor, reduce: Callable[[Tensor], None]) -> Tensor:
    counts = one.flatten(1).T @ other.flatten(1)  # exact: whole numbers in float32
    reduce(counts)
    joint = counts.reshape(one.shape[1], BINS, other.shape[1], BINS).double()
    joint = joint.permute(0, 2, 1, 3)
    joint = joint / joint.sum(dim=(2, 3), keepdim=True).clamp_min(1)
    product = joint.sum(dim=3, keepdim=True) * joint.sum(dim=2, keepdim=True)
    terms = torch.where(joint > 0, joint * (joint / product.clamp_min(1e-300)).log(), 0.0)
    return terms.sum(dim=(2, 3))


def eliminate(relevance: Tensor, shared: Tensor) -> Tensor:
    """When each variable goes, if again and again the least worthy one does: in (0, 1].

    Worth is relevance less the mean of what is shared with each of the others that are left. Of
    equals, the one with the higher index goes first.

    Args:
        relevance: ``(n,)``.
        shared: ``(n, n)``; the diagonal does not count.
    """
    count = len(relevance)
    shared = shared.clone().fill_diagonal_(0.0)
    redundancy, left = shared.sum(dim=1), torch.ones(count, dtype=torch.bool)
    order = torch.zeros(count, dtype=torch.float64)
    for place in range(count):
        worth = relevance - redundancy / max(count - place - 1, 1)
        worth = worth.masked_fill(~left, torch.inf).flip(0)
        gone = count - 1 - int(worth.argmin())
        order[gone] = (place + 1) / count
        left[gone] = False
        redundancy = redundancy - shared[:, gone]
    return order
