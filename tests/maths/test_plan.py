import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairseq_prune.maths.plan import cost_of, lower_hull, share_out

costs = st.lists(st.integers(-8, 40).map(lambda n: n / 8), min_size=1, max_size=4)
curves = st.lists(costs, min_size=1, max_size=3).map(
    lambda found: {
        f"c{i}": list(zip(range(2, 2 * len(c) + 1, 2), c, strict=True)) for i, c in enumerate(found)
    }
)


@given(curves, st.integers(0, 8))
def test_no_other_way_is_predicted_to_cost_less(known, wanted):
    most = {label: points[-1][0] for label, points in known.items()}
    total = min(wanted, sum(most.values()))
    chosen = share_out(known, total)
    assert sum(chosen.values()) == total
    assert all(0 <= chosen[label] <= most[label] for label in known)

    def cost(counts):
        return sum(cost_of(known[label], n) for label, n in counts.items())

    others = itertools.product(*(range(most[label] + 1) for label in known))
    best = min(cost(dict(zip(known, n, strict=True))) for n in others if sum(n) == total)
    assert cost(chosen) == pytest.approx(best, abs=1e-12)


@given(costs)
def test_a_hull_is_convex_and_below_every_point(found):
    points = [(3 * i + 1, cost) for i, cost in enumerate(found)]
    hull = lower_hull(reversed(points))
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in itertools.pairwise(hull)]
    assert slopes == sorted(set(slopes))
    assert hull[0] == (0, 0) and hull[-1][0] == points[-1][0]
    assert all(cost_of(points, n) <= cost for n, cost in points)


def test_the_cost_between_points_is_on_the_line():
    assert cost_of([(10, 1.0), (20, 5.0)], 15) == 3.0
    assert cost_of([(10, 4.0), (20, 5.0)], 10) == 2.5  # a plateau is not stopped on
    assert lower_hull([(10, 4.0), (20, 5.0)]) == [(0, 0), (20, Fraction(5))]


def test_ties_go_to_the_earlier_class():
    same = {"b": [(10, 1.0)], "a": [(10, 1.0)]}
    assert share_out(same, 13) == {"b": 10, "a": 3}


def test_what_gets_cheaper_goes_first():
    assert share_out({"a": [(4, 0.0)], "b": [(4, -0.5)]}, 4) == {"a": 0, "b": 4}


@pytest.mark.parametrize("total", [-1, 11])
def test_more_than_was_measured_is_refused(total):
    with pytest.raises(ValueError, match="at most 10"):
        share_out({"a": [(10, 1.0)]}, total)
