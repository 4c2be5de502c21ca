"""Mutual information of variables cut into bins, in whole numbers: what is equal is equal.

Of N examples, N times the mutual information is N ln N + sum f(joint counts) - sum f(counts of the
one) - sum f(counts of the other), f(n) = n ln n. Logarithms are rounded once, those of the primes,
and all others are made of them; primes have logarithms that no whole multiples of others add up to,
so that two sums are the same number wherever they are equal in exact arithmetic. (A nat is cut into
as many parts as 64 bits allow: 4,096 units on 20,000 examples are right to 1e-8 nats.)
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

# the quartiles of a standard normal distribution
EDGES = torch.tensor([-0.6744897501960817, 0.0, 0.6744897501960817], dtype=torch.float64)
BINS = len(EDGES) + 1
_GRID = 2.0**16  # to the deviation, on which values are compared with the edges
_NOTHING = 2.0**-20  # of a variable's size: a deviation below is that of float32's rounding
_LARGEST = 61  # bits of the largest number that may come up
_FINEST = 48  # bits behind the point that are enough


def one_hot(values: Tensor, reduce: Callable[[Tensor], None] = lambda tensor: None) -> Tensor:
    """Each variable's bin, at the quartiles of a normal distribution of its mean and deviation.

    Args:
        values: ``(examples, variables)``.
        reduce: sums a tensor over all ranks, in place; each has some of the examples.

    Returns: float32, ``(examples, variables, BINS)``; a constant variable is in one bin. What
        differs by rounding only is in the same.
    """
    values = values.double()
    size, ones, powers = values.new_tensor([len(values)]), values.sum(dim=0), values.square()
    whole = powers.sum(dim=0)
    for part in (size, ones, whole):
        reduce(part)
    size = size.clamp_min(1)
    centred = values - ones / size
    squares = centred.square().sum(dim=0)
    reduce(squares)
    deviation, least = (squares / size).sqrt(), (whole / size).sqrt() * _NOTHING
    scaled = centred / deviation.where(deviation > least, torch.inf)
    bins = torch.bucketize((scaled * _GRID).round() / _GRID, EDGES.to(values.device))
    return torch.nn.functional.one_hot(bins, BINS).float()


def mutual_information_of(
    one: Tensor,
    other: Tensor,
    reduce: Callable[[Tensor], None] = lambda tensor: None,
    variables: int | None = None,
) -> tuple[Tensor, float]:
    """The mutual information of each variable of one with each of the other; the plug-in estimate.

    Args:
        one, other: from :func:`one_hot`, ``(examples, n, BINS)`` and ``(examples, m, BINS)``.
        variables: how many of the numbers, at most, will be added up or multiplied by their
            count; numbers that are to be compared must have it in common.

    Returns: int64, ``(n, m)``, and how much of them is a nat.
    """
    size = one.new_tensor([len(one)], dtype=torch.float64)
    reduce(size)
    total = int(size)
    largest = 4 * max(total, 1) * max(variables or other.shape[1], math.log(max(total, 2)))
    bits = min(_FINEST, _LARGEST - math.ceil(math.log2(largest)))
    logs = _logarithms(total, bits)
    terms = torch.tensor([n * log for n, log in enumerate(logs)], device=one.device)
    found = [_information(part, other, terms, reduce) for part in one.split(256, dim=1)]
    whole = torch.cat(found) if found else torch.zeros(0, other.shape[1], dtype=torch.int64)
    return whole, max(total, 1) * 2.0**bits


def _information(
    one: Tensor, other: Tensor, terms: Tensor, reduce: Callable[[Tensor], None]
) -> Tensor:
    counts = one.flatten(1).T @ other.flatten(1)  # exact: whole numbers in float32
    reduce(counts)
    joint = counts.round().long().reshape(one.shape[1], BINS, other.shape[1], BINS)
    alone = terms[joint.sum(dim=3)].sum(dim=1) + terms[joint.sum(dim=1)].sum(dim=2)
    return terms[-1] + terms[joint].sum(dim=(1, 3)) - alone


def _logarithms(most: int, bits: int) -> list[int]:
    """Of 0 (0), 1, ..., ``most``, in units of 2^-bits: sums of the primes' rounded logarithms."""
    smallest = list(range(most + 1))  # prime factor
    for p in range(2, math.isqrt(most) + 1):
        if smallest[p] == p:
            for multiple in range(p * p, most + 1, p):
                smallest[multiple] = min(smallest[multiple], p)
    logs = [0] * (most + 1)
    for n, p in enumerate(smallest):
        if n > 1:
            logs[n] = round(math.log(n) * 2**bits) if n == p else logs[p] + logs[n // p]
    return logs


def eliminate(relevance: Tensor, shared: Tensor) -> Tensor:
    """When each variable goes, if again and again the least worthy one does: in (0, 1].

    Worth is relevance less the mean of what is shared with each of the others that are left. Of
    equals, the one with the higher index goes first. Whole numbers are compared exactly.

    Args:
        relevance: ``(n,)``.
        shared: ``(n, n)``, in the same unit; the diagonal does not count.
    """
    count = len(relevance)
    shared = shared.clone().fill_diagonal_(0)
    redundancy, left = shared.sum(dim=1), torch.ones(count, dtype=torch.bool)
    order = torch.zeros(count, dtype=torch.float64)
    for place in range(count):
        # times the number of the others, so that nothing is divided
        worth = relevance * max(count - place - 1, 1) - redundancy
        there = left.nonzero().reshape(-1).flip(0)
        gone = int(there[worth[there].argmin()])
        order[gone] = (place + 1) / count
        left[gone] = False
        redundancy = redundancy - shared[:, gone]
    return order
