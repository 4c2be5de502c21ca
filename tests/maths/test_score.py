import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq_prune.maths.score import Score, _rank_of, _value_of, first_at

ONES = torch.ones(2, 3)


@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf, math.nan])
def test_a_scale_that_is_no_positive_number_is_refused(scale):
    with pytest.raises(ValueError, match=r"^`scale` must be a finite number above 0, but is"):
        Score(ONES, scale=scale)


def test_integers_are_refused():
    with pytest.raises(ValueError, match=r"^a score must be float16, .*, not torch\.int64\.$"):
        Score(torch.ones(2, dtype=torch.int64))


@pytest.mark.parametrize("alive", [torch.ones(3, 2, dtype=torch.bool), torch.ones(2, 3)])
def test_alive_must_be_bool_and_of_the_shape_of_the_values(alive):
    with pytest.raises(ValueError, match=r"^`alive` must be a bool tensor of shape \(2, 3\), "):
        Score(ONES, alive=alive)


@pytest.mark.parametrize("fixed", [(-1, 2), (3, 2), (0, 7)])
def test_a_fixed_range_outside_of_the_tensor_is_refused(fixed):
    with pytest.raises(ValueError, match=r"^`fixed` must be a range inside \[0, 6\), but is"):
        Score(ONES, fixed=fixed)


def test_spans_leave_out_the_fixed_range():
    assert Score(ONES, fixed=(0, 2)).spans == [(2, 6)]
    assert Score(ONES, fixed=(2, 4)).spans == [(0, 2), (4, 6)]
    assert Score(ONES, fixed=(0, 6)).spans == []
    assert Score(ONES).spans == [(0, 6)]


def test_another_scale_shares_the_tensors():
    score = Score(ONES, absolute=True, fixed=(0, 1))
    other = score.with_scale(2.0)
    assert other.values is ONES
    assert (other.absolute, other.scale, other.fixed) == (True, 2.0, (0, 1))


@settings(deadline=None)
@given(st.floats(width=32, allow_nan=False), st.floats(width=32, allow_nan=False))
def test_places_of_floats_are_in_their_order(a, b):
    for wide in (False, True):
        assert (_rank_of(a, wide) < _rank_of(b, wide)) == (a < b)
        assert _value_of(_rank_of(a, wide), wide) == a


KEYS = st.floats(allow_nan=False)
SCALES = st.floats(min_value=5e-324, max_value=1e308)


@settings(deadline=None)
@given(KEYS, SCALES, st.booleans(), st.booleans())
def test_the_first_value_at_a_key_is_the_first(key, scale, above, wide):
    score = Score(torch.ones(1, dtype=torch.float64 if wide else torch.float32), scale=scale)
    first = first_at(score, key, above)

    def reaches(value):
        return value / scale > key if above else value / scale >= key

    if math.isnan(first):
        assert not reaches(math.inf)
        return
    assert reaches(first)
    before = _value_of(_rank_of(first, wide) - 1, wide)
    assert before == -math.inf or not reaches(before)
