"""Mutual information: its identities, and the order of elimination."""

import math
from collections import Counter
from decimal import Decimal, localcontext

import pytest
import torch
from torch import Tensor

from fairseq_prune.maths import information
from fairseq_prune.maths.information import BINS, eliminate, one_hot


def mutual_information_of(one: Tensor, other: Tensor) -> Tensor:
    """In nats."""
    whole, nat = information.mutual_information_of(one, other)
    return whole.double() / nat


def test_the_quartiles_of_a_normal_distribution_are_equally_full() -> None:
    draw = torch.Generator().manual_seed(1)
    counts = one_hot(torch.randn(40000, 1, generator=draw) * 3 + 2).sum(dim=0)
    assert torch.allclose(counts, torch.full((1, BINS), 10000.0), rtol=0.03)


def test_a_variable_tells_all_of_itself_and_nothing_of_an_independent_one() -> None:
    values = torch.cartesian_prod(torch.arange(4.0), torch.arange(4.0))  # every pair once
    found = mutual_information_of(one_hot(values), one_hot(values))
    expected = torch.tensor([[math.log(4), 0.0], [0.0, math.log(4)]], dtype=torch.float64)
    assert torch.allclose(found, expected)


def test_a_constant_tells_nothing() -> None:
    values = torch.stack([torch.ones(8), torch.arange(8.0)], dim=1)
    assert mutual_information_of(one_hot(values), one_hot(values))[0].abs().max() < 1e-12


def test_it_is_the_same_both_ways_and_in_chunks() -> None:
    draw = torch.Generator().manual_seed(1)
    one = one_hot(torch.randn(50, 300, generator=draw))
    found, _ = information.mutual_information_of(one, one)
    assert torch.equal(found, found.T)
    assert torch.equal(found[290:], information.mutual_information_of(one[:, 290:], one)[0])


def test_the_least_informative_goes_first_and_a_copy_early() -> None:
    relevance = torch.tensor([1.0, 1.0, 0.8, 0.1], dtype=torch.float64)
    shared = torch.zeros(4, 4, dtype=torch.float64)
    shared[0, 1] = shared[1, 0] = 1.0  # copies of each other
    # 3 has least (0.1); then 0 and 1 have 1 - 1/2, 2 has 0.8: of equals the last, 1
    assert eliminate(relevance, shared).tolist() == [1.0, 0.5, 0.75, 0.25]


def test_nothing_to_eliminate() -> None:
    assert eliminate(torch.zeros(0), torch.zeros(0, 0)).tolist() == []


# ---------------------------------------------------------------- exactly
Logs = Counter[int]  # how often the logarithm of each prime is in a sum


def times_its_log(n: int) -> Logs:
    found: Logs = Counter()
    rest, p = n, 2
    while rest > 1:
        while rest % p == 0:
            found[p] += n
            rest //= p
        p += 1
    return found


def exact(one: list[int], other: list[int]) -> Logs:
    """N times the mutual information of two lists of bins."""
    found = times_its_log(len(one))
    for count in Counter(zip(one, other, strict=True)).values():
        found.update(times_its_log(count))
    for alone in (one, other):
        for count in Counter(alone).values():
            found.subtract(times_its_log(count))
    return found


def size(sum_of_logs: Logs) -> Decimal:
    with localcontext(prec=60):
        return sum((count * Decimal(p).ln() for p, count in sum_of_logs.items()), Decimal(0))


def eliminated_exactly(target: list[int], units: list[list[int]]) -> tuple[list[float], int]:
    """The order as in :func:`eliminate`, and how many decisions were between equals."""
    left, order, ties = list(range(len(units))), [0.0] * len(units), 0
    relevance = [exact(unit, target) for unit in units]
    shared = [[exact(a, b) for b in units] for a in units]
    for place in range(len(units)):
        worth = {}
        for i in left:
            whole: Logs = Counter()
            for p, n in relevance[i].items():
                whole[p] += n * max(len(left) - 1, 1)
            for j in left:
                if j != i:
                    whole.subtract(shared[i][j])
            worth[i] = size(whole)
        least = min(worth.values())
        equal = [i for i in left if worth[i] - least < Decimal("1e-40")]
        ties += len(equal) > 1
        order[equal[-1]] = (place + 1) / len(units)
        left.remove(equal[-1])
    return order, ties


@pytest.mark.parametrize("seed", range(6))
def test_ties_go_by_index_and_not_by_rounding(seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    target = torch.randint(0, 4, (24,), generator=draw)
    few = torch.randint(0, 4, (24, 5), generator=draw)
    # copies, and units that say the same by other bins
    units = torch.cat([few, 3 - few, few[:, [2, 0]], (few == 1).long(), target[:, None]], dim=1)
    bins = lambda x: torch.nn.functional.one_hot(x, BINS).float()  # noqa: E731
    information_of = information.mutual_information_of
    relevance, _ = information_of(bins(units), bins(target[:, None]), variables=units.shape[1])
    shared, _ = information_of(bins(units), bins(units), variables=units.shape[1])
    expected, ties = eliminated_exactly(target.tolist(), units.T.tolist())
    assert eliminate(relevance.reshape(-1), shared).tolist() == expected
    assert ties > 3


def test_logarithms_of_products_are_sums() -> None:
    logs = information._logarithms(1000, 40)
    assert all(logs[a * b] == logs[a] + logs[b] for a in range(1, 31) for b in range(1, 32))
    assert max(abs(log / 2**40 - math.log(n)) for n, log in enumerate(logs) if n) < 1e-11


def test_many_examples_and_units_stay_within_64_bits() -> None:
    bins = one_hot(torch.arange(20000.0).sin().reshape(-1, 1))
    whole, nat = information.mutual_information_of(bins, bins, variables=4096)
    assert float(whole[0, 0] / nat) == pytest.approx(float(entropy(bins)), rel=1e-8)
    assert int(whole[0, 0]) * 4096 < 2**63


def entropy(bins: Tensor) -> Tensor:
    shares = bins.double().mean(dim=0)[0]
    return -(shares * shares.log()).sum()


def test_rounding_makes_no_information() -> None:
    draw = torch.Generator().manual_seed(1)
    noise = torch.randn(50, 4, generator=draw).double()
    constant = 0.3 + 1e-9 * noise[:, :1]  # the noise of float32
    assert one_hot(constant)[:, 0, 1].all()
    values = torch.tensor([-1.0, 0.0, 0.0, 0.0, 1.0]).double().reshape(-1, 1)
    noisy = values + 1e-9 * torch.tensor([0.0, 1.0, -1.0, 2.0, 0.0]).double().reshape(-1, 1)
    assert torch.equal(one_hot(values), one_hot(noisy))
