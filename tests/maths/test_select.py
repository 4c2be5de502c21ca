import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq_prune.maths import select
from fairseq_prune.maths.select import Score, count_kept, keep_largest, make_masks, round_count
from tests.maths.ranking import FLOATS, alive_in, draw_score, ranked_masks, rankings

BIG = 1_500_000  # enough elements for a sampled bracket


def normal(*shape, seed=0, scale=1.0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale


def assert_is_the_ranking(scores, keep):
    expected = ranked_masks(scores, keep)
    budgets = count_kept(scores, keep)
    assert budgets.total == keep
    one_by_one = {n: keep_largest(s, budgets[n], budgets.near.get(n)) for n, s in scores.items()}
    without_hint = {n: keep_largest(s, budgets[n]) for n, s in scores.items()}
    for masks in (make_masks(scores, budgets), one_by_one, without_hint):
        for name in scores:
            assert torch.equal(masks[name], expected[name]), name


@settings(deadline=None, max_examples=150)
@given(rankings())
def test_budgets_and_masks_are_those_of_a_stable_sort_of_everything(case):
    assert_is_the_ranking(*case)


@settings(deadline=None, max_examples=50)
@given(rankings(), st.floats(allow_nan=True, allow_infinity=True))
def test_a_wrong_hint_changes_nothing(case, near):
    scores, keep = case
    budgets = count_kept(scores, keep)
    for name, expected in ranked_masks(scores, keep).items():
        assert torch.equal(keep_largest(scores[name], budgets[name], near), expected)


@pytest.mark.parametrize("seed", range(8))
def test_large_scores_rank_as_a_stable_sort(seed):
    random = np.random.default_rng(seed)
    shapes = [(int(random.integers(300, 900)), 500) for _ in range(3)]
    scores = {f"t{i}": draw_score(random, shape) for i, shape in enumerate(shapes)}
    alive = alive_in(scores)
    for keep in (int(random.integers(0, alive)), alive):
        assert_is_the_ranking(scores, keep)


@pytest.mark.parametrize("dtype", FLOATS)
def test_half_precision_ties_leave_an_exact_count(dtype):
    scores = {"a": Score(normal(BIG).to(dtype), absolute=True)}
    keep = BIG - round_count(0.8, BIG)
    assert int(keep_largest(scores["a"], keep).sum()) == keep
    assert_is_the_ranking(scores, keep)


@pytest.mark.parametrize("keep", [0, 1, 450_000, 899_999, 900_000, 900_001, BIG])
def test_many_zeros_are_cut_exactly(keep):
    values = normal(BIG)
    values[torch.rand(BIG, generator=torch.Generator().manual_seed(1)) < 0.4] = 0.0
    assert_is_the_ranking({"a": Score(values[:700_000], True), "b": Score(values[700_000:])}, keep)


def test_a_constant_tensor_keeps_its_first_elements():
    scores = {"a": Score(torch.full((BIG,), 0.5)), "b": Score(torch.full((10,), 0.5))}
    mask = keep_largest(scores["a"], 1234)
    assert mask[:1234].all() and not mask[1234:].any()
    assert dict(count_kept(scores, BIG + 3)) == {"a": BIG, "b": 3}


def test_few_different_values_in_a_large_tensor():
    values = (normal(BIG) * 2).round()
    for keep in (7, BIG // 3, BIG // 2, BIG - 5):
        assert_is_the_ranking({"a": Score(values, absolute=True)}, keep)


def test_values_that_depend_on_the_column_are_cut_exactly():
    rows = torch.linspace(0, 1, 1500)[None].expand(1000, 1500).contiguous()
    assert_is_the_ranking({"a": Score(rows)}, 300_123)


def test_sorted_values_are_cut_exactly():
    assert_is_the_ranking({"a": Score(torch.arange(BIG, dtype=torch.float32))}, BIG // 5)


def test_ties_go_to_the_earlier_tensor_and_then_to_the_lower_index():
    ones = torch.ones(2, 2)
    scores = {"z": Score(ones), "a": Score(ones)}
    budgets = count_kept(scores, 5)
    assert dict(budgets) == {"z": 4, "a": 1}
    assert make_masks(scores, budgets)["a"].tolist() == [[True, False], [False, False]]


def test_both_zeros_rank_the_same():
    mask = keep_largest(Score(torch.tensor([-0.0, 0.0, -0.0])), 2)
    assert mask.tolist() == [True, True, False]


def test_keys_that_fall_together_after_the_division_are_ties():
    near_by = [1.6 + k * 2**-52 for k in range(4)]
    low = next(a for a, b in zip(near_by, near_by[1:], strict=False) if a / 1.5 == b / 1.5)
    values = torch.tensor([low, low + 2**-52, 2.0], dtype=torch.float64)
    for near in (None, float(values[1]), float(values[0])):
        assert keep_largest(Score(values, scale=1.5), 2, near).tolist() == [True, False, True]


def test_keys_that_overflow_or_vanish_are_ties():
    huge = Score(torch.tensor([1e300, 2e300, 1.0], dtype=torch.float64), scale=1e-300)
    tiny = Score(torch.tensor([1e-300, 2e-300, -1.0], dtype=torch.float64), scale=1e300)
    assert keep_largest(huge, 1).tolist() == [True, False, False]
    assert keep_largest(tiny, 1).tolist() == [True, False, False]


def test_signed_scores_rank_by_value_and_absolute_ones_by_size():
    values = torch.tensor([-3.0, 1.0, 2.0])
    assert keep_largest(Score(values), 1).tolist() == [False, False, True]
    assert keep_largest(Score(values, absolute=True), 1).tolist() == [True, False, False]


def test_minus_infinity_is_the_largest_by_size():
    score = Score(torch.tensor([1.0, -np.inf, 2.0]), absolute=True)
    assert score.numel_alive == 3
    assert keep_largest(score, 1).tolist() == [False, True, False]


def test_minus_infinity_is_gone():
    score = Score(torch.tensor([-np.inf, 1.0, np.inf]))
    assert score.numel_alive == 2
    assert keep_largest(score, 2).tolist() == [False, True, True]
    with pytest.raises(ValueError, match=r"^`n` must be at most the 2 alive weights, but is 3\.$"):
        keep_largest(score, 3)


def test_dead_elements_may_hold_nan():
    score = Score(torch.tensor([np.nan, 1.0, 2.0]), alive=torch.tensor([False, True, True]))
    assert keep_largest(score, 1).tolist() == [False, False, True]
    assert keep_largest(score, 1, 2.0).tolist() == [False, False, True]


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("near", [None, 1.5])
def test_nan_is_an_error_that_names_the_tensor(absolute, near):
    bad = Score(torch.tensor([np.nan, 1.0, 2.0]), absolute=absolute)
    message = r"^the score of fc1 holds NaN: it cannot be ranked\.$"
    with pytest.raises(ValueError, match=message):
        keep_largest(bad, 1, near, name="fc1")
    with pytest.raises(ValueError, match=message):
        count_kept({"ok": Score(torch.ones(3)), "fc1": bad}, 2)


def test_the_fixed_range_is_kept_and_not_counted():
    score = Score(torch.tensor([[9.0, 9.0], [1.0, 3.0], [2.0, 0.0]]), fixed=(0, 2))
    assert (score.numel_prunable, score.numel_alive) == (4, 4)
    expected = [[True, True], [False, True], [True, False]]
    assert keep_largest(score, 2).tolist() == expected
    assert keep_largest(score, 0).tolist()[0] == [True, True]
    assert dict(count_kept({"a": score}, 4)) == {"a": 4}


def test_empty_tensors_take_part():
    scores = {"none": Score(torch.empty(0, 3)), "some": Score(torch.ones(2))}
    assert dict(count_kept(scores, 1)) == {"none": 0, "some": 1}
    assert keep_largest(scores["none"], 0).shape == (0, 3)
    assert dict(count_kept({}, 0)) == {}


def test_transposed_weights_rank_by_their_own_order():
    values = torch.arange(6.0).reshape(2, 3).t()
    assert keep_largest(Score(values), 2).tolist() == [[False, False], [False, True], [False, True]]


def test_values_with_a_gradient_are_read_as_they_are():
    values = torch.tensor([1.0, 2.0], requires_grad=True)
    assert keep_largest(Score(values), 1).tolist() == [False, True]


def test_scores_are_left_as_they_were():
    values = normal(400_000)
    before = values.clone()
    make_masks({"a": Score(values, True)}, count_kept({"a": Score(values, True)}, 80_000))
    assert torch.equal(values, before)


def test_more_than_is_alive_is_an_error_unless_capped():
    scores = {"a": Score(torch.ones(3), alive=torch.tensor([True, True, False]))}
    with pytest.raises(
        ValueError, match=r"^`keep` must be at most the 2 alive weights, but is 3\.$"
    ):
        count_kept(scores, 3)
    assert dict(count_kept(scores, 3, cap=True)) == {"a": 2}


def test_a_cap_holds_in_a_large_tensor():
    values = normal(BIG)
    alive = values > -1.0
    scores = {"a": Score(values, alive=alive)}
    budgets = count_kept(scores, BIG, cap=True)
    assert budgets.total == int(alive.sum())
    assert torch.equal(make_masks(scores, budgets)["a"], alive)


@pytest.mark.parametrize("n", [-1, -7])
def test_negative_counts_are_refused(n):
    score = Score(torch.ones(3))
    with pytest.raises(ValueError, match=rf"^`n` must be at least 0, but is {n}\.$"):
        keep_largest(score, n)
    with pytest.raises(ValueError, match=rf"^`keep` must be at least 0, but is {n}\.$"):
        count_kept({"a": score}, n)


def test_half_counts_round_to_the_even_number():
    assert [round_count(0.5, n) for n in (1, 3, 5)] == [0, 2, 2]


def test_budgets_are_a_mapping_that_does_not_change():
    budgets = select.Budgets({"a": 1}, {"a": 0.5})
    assert (budgets["a"], len(budgets), list(budgets), budgets.total) == (1, 1, ["a"], 1)
    for mapping in (budgets, budgets.near, budgets.masks):
        with pytest.raises(TypeError):
            mapping["a"] = 3
