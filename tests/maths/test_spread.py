import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq_prune.maths.score import Score
from fairseq_prune.maths.spread import Moments, class_moments, moments


def spread(*values, **options):
    scores = {str(i): Score(v, **options) for i, v in enumerate(values)}
    return class_moments({"c": scores})["c"].unit


@settings(deadline=None, max_examples=40)
@given(
    st.integers(2, 200_000),
    st.floats(-1e4, 1e4),
    st.floats(1e-3, 1e3),
    st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]),
)
def test_the_spread_is_that_of_torch_in_float64(count, mean, sigma, dtype):
    random = torch.Generator().manual_seed(count)
    values = (torch.randn(count, generator=random) * sigma + mean).to(dtype)
    expected = float(values.double().std())
    if expected > 1e-9 * abs(mean) and math.isfinite(expected):
        assert spread(values) == pytest.approx(expected, rel=1e-9)


def test_ordinary_weights_agree_to_the_last_digits():
    values = torch.randn(1_000_003, generator=torch.Generator().manual_seed(0)) * 0.05 + 0.003
    assert spread(values) == pytest.approx(float(values.double().std()), rel=1e-14)


def test_a_large_mean_costs_no_digits():
    values = torch.randn(300_000, generator=torch.Generator().manual_seed(0)).double() + 1e6
    assert spread(values) == pytest.approx(float(values.std()), rel=1e-12)


def test_a_class_is_one_set_of_numbers():
    a, b = torch.randn(1000) + 5, torch.randn(50) - 5
    together = torch.cat([a, b]).double()
    assert spread(a, b) == pytest.approx(float(together.std()), rel=1e-13)


def test_signs_count_and_the_scale_does_not():
    values = torch.tensor([-1.0, 1.0])
    assert spread(values, absolute=True, scale=7.0) == pytest.approx(math.sqrt(2))


def test_only_what_is_alive_and_not_fixed_counts():
    values = torch.tensor([1.0, 2.0, 4.0, 100.0, math.nan, -math.inf])
    alive = torch.tensor([True, True, True, True, False, True])
    expected = float(torch.tensor([1.0, 2.0, 4.0]).double().std())
    assert spread(values, alive=alive, fixed=(3, 4)) == pytest.approx(expected)


@pytest.mark.parametrize("value", [0.1, -0.1, 3.0, 1e-30])
@pytest.mark.parametrize("count", [1, 2, 7, 100_000])
def test_equal_values_spread_as_far_as_their_size(value, count):
    values = torch.full((count,), value)
    assert spread(values) == pytest.approx(abs(float(values[0])), rel=1e-12)


def test_nothing_and_zeros_have_the_spread_one():
    assert spread(torch.empty(0)) == 1.0
    assert spread(torch.zeros(5)) == 1.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_has_no_spread_is_an_error(bad):
    with pytest.raises(ValueError, match=r"^the score of 0 holds NaN or infinity: its spread"):
        spread(torch.tensor([1.0, bad]))


def test_minus_infinity_by_size_has_no_spread():
    with pytest.raises(ValueError, match=r"^the score of 0 holds NaN or infinity: its spread"):
        spread(torch.tensor([1.0, -math.inf]), absolute=True)


def test_moments_of_parts_merge_to_those_of_the_whole():
    values = torch.randn(1000).double()
    parts = moments(Score(values[:300])).merge(moments(Score(values[300:])))
    assert parts.count == 1000
    assert parts.deviation == pytest.approx(float(values.std()), rel=1e-13)
    assert Moments().merge(parts) == parts
