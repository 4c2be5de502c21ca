"""Mutual information: its identities, and the order of elimination."""

import math

import torch

from fairseq_prune.maths.information import BINS, eliminate, mutual_information_of, one_hot


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
    found = mutual_information_of(one, one)
    assert torch.allclose(found, found.T)
    assert torch.equal(found[290:], mutual_information_of(one[:, 290:], one))


def test_the_least_informative_goes_first_and_a_copy_early() -> None:
    relevance = torch.tensor([1.0, 1.0, 0.8, 0.1], dtype=torch.float64)
    shared = torch.zeros(4, 4, dtype=torch.float64)
    shared[0, 1] = shared[1, 0] = 1.0  # copies of each other
    # 3 has least (0.1); then 0 and 1 have 1 - 1/2, 2 has 0.8: of equals the last, 1
    assert eliminate(relevance, shared).tolist() == [1.0, 0.5, 0.75, 0.25]


def test_nothing_to_eliminate() -> None:
    assert eliminate(torch.zeros(0), torch.zeros(0, 0)).tolist() == []
