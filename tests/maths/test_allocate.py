import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq_prune.maths.allocate import (
    by_class,
    class_blind,
    class_distribution,
    class_uniform,
    erk,
    overall,
    removals,
)
from fairseq_prune.maths.allocate import (
    given as allocate_given,
)
from fairseq_prune.maths.schemes import ALLOCATIONS
from fairseq_prune.maths.select import Score, make_masks, round_count

SHAPES = {"emb": (60, 8), "l1.ih": (32, 8), "l1.hh": (32, 8), "out": (60, 8)}
CLASSES = {"emb": "embedding", "l1.ih": "layer1", "l1.hh": "layer1", "out": "softmax"}


def weights(seed=0):
    random = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(shape, generator=random) * 0.1 * (i + 1)
        for i, (name, shape) in enumerate(SHAPES.items())
    }


def magnitudes(tensors, **options):
    return {name: Score(w, absolute=True, **options) for name, w in tensors.items()}


def removed_of(scores, budgets):
    return {name: scores[name].numel_prunable - budgets[name] for name in scores}


@pytest.mark.parametrize("name", ["class-blind", "class-distribution", "erk"])
@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.333, 0.8, 0.999])
def test_the_total_is_exact(name, sparsity):
    scores = magnitudes(weights())
    total = sum(w.numel() for w in weights().values())
    budgets = ALLOCATIONS[name].allocate(scores, sparsity, CLASSES)
    assert list(budgets) == list(scores)
    assert budgets.total == total - round_count(sparsity, total)


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.333, 0.8, 0.999])
def test_uniform_removes_the_same_share_of_each_class(sparsity):
    scores = magnitudes(weights())
    removed = removed_of(scores, class_uniform(scores, sparsity, CLASSES))
    for label, members in by_class(scores, CLASSES).items():
        total = sum(score.numel_prunable for score in members.values())
        assert sum(removed[name] for name in members) == round_count(sparsity, total), label


def test_uniform_ranks_over_a_class_and_not_over_a_tensor():
    scores = magnitudes({"a": torch.ones(4), "b": torch.full((4,), 2.0)})
    assert dict(class_uniform(scores, 0.5, {"a": "c", "b": "c"})) == {"a": 0, "b": 4}


def test_blind_is_distribution_when_all_spreads_are_the_same():
    tensors = {"a": torch.randn(50, 4), "b": torch.randn(50, 4)}
    scores, classes = magnitudes(tensors), {"a": "one", "b": "one"}
    assert dict(class_blind(scores, 0.7, classes)) == dict(class_distribution(scores, 0.7, classes))


@settings(deadline=None, max_examples=30)
@given(st.floats(0.01, 0.98), st.integers(0, 1000))
def test_distribution_agrees_with_a_direct_search_for_lambda(sparsity, seed):
    tensors = weights(seed)
    scores = magnitudes(tensors)
    sigma = {
        label: float(torch.cat([tensors[n].reshape(-1) for n in part]).double().std())
        for label, part in by_class(scores, CLASSES).items()
    }
    goal = round_count(sparsity, sum(w.numel() for w in tensors.values()))

    def gone(multiple):
        bounds = {n: multiple * sigma[CLASSES[n]] for n in tensors}
        return {n: tensors[n].double().abs() < bounds[n] for n in tensors}

    low, high = 0.0, 100.0
    for _ in range(200):
        middle = (low + high) / 2
        enough = sum(int(g.sum()) for g in gone(middle).values()) >= goal
        low, high = (low, middle) if enough else (middle, high)
    budgets = class_distribution(scores, sparsity, CLASSES)
    masks = make_masks(scores, budgets)
    for name, removed in gone(high).items():
        assert torch.equal(~masks[name], removed)
    assert budgets.found.sigma == pytest.approx(sigma, rel=1e-12)


def test_distribution_notes_lambda_as_the_smallest_kept_multiple_of_sigma():
    scores = magnitudes(weights())
    budgets = class_distribution(scores, 0.8, CLASSES)
    masks, sigma = make_masks(scores, budgets), budgets.found.sigma
    kept = [weights()[n].double().abs()[masks[n]] / sigma[CLASSES[n]] for n in scores]
    assert budgets.found.lambda_ == pytest.approx(float(torch.cat(kept).min()), rel=1e-12)
    again = class_distribution(scores, 0.8, CLASSES, sigma=sigma)
    assert dict(again) == dict(budgets) and again.found.lambda_ == budgets.found.lambda_


def test_distribution_takes_a_scale_that_is_there_already_along():
    scores = magnitudes({"a": torch.tensor([1.0, 3.0]), "b": torch.tensor([1.0, 3.0])})
    scores["b"] = scores["b"].with_scale(10.0)
    assert dict(class_distribution(scores, 0.5, {"a": "x", "b": "x"})) == {"a": 2, "b": 0}


@pytest.mark.parametrize("size", [50, 300_000])
def test_distribution_leaves_out_what_is_minus_infinity(size):
    values = torch.randn(size, generator=torch.Generator().manual_seed(0))
    gone = torch.rand(size, generator=torch.Generator().manual_seed(1)) < 0.5
    plain = Score(values, alive=~gone)
    marked = Score(values.masked_fill(gone, -math.inf))
    budgets = [class_distribution({"a": s}, 0.7, {"a": "c"}) for s in (plain, marked)]
    assert budgets[0].found == budgets[1].found
    masks = [make_masks({"a": plain}, b)["a"] for b in budgets]
    assert torch.equal(*masks) and not (masks[0] & gone).any()


def test_distribution_survives_a_class_of_equal_values():
    scores = magnitudes({"bias-like": torch.full((10,), 0.1), "w": torch.randn(40) * 0.01})
    budgets = class_distribution(scores, 0.5, {"bias-like": "c", "w": "d"})
    assert budgets.total == 25
    assert math.isfinite(budgets.found.lambda_)
    assert budgets.found.sigma["c"] == pytest.approx(0.1, rel=1e-6)


@pytest.mark.parametrize("name", sorted(ALLOCATIONS))
def test_masks_only_shrink(name):
    tensors, allocate = weights(), ALLOCATIONS[name].allocate
    alive = {n: torch.rand(w.shape) < 0.3 for n, w in tensors.items()}
    scores = {n: Score(w, absolute=True, alive=alive[n]) for n, w in tensors.items()}
    for sparsity in (0.0, 0.5, 0.9):
        masks = make_masks(scores, allocate(scores, sparsity, CLASSES))
        for n in tensors:
            assert not (masks[n] & ~alive[n]).any()
    budgets = allocate(scores, 0.0, CLASSES)
    assert budgets.total == sum(int(a.sum()) for a in alive.values())


@pytest.mark.parametrize("name", sorted(ALLOCATIONS))
def test_sparsity_zero_keeps_everything(name):
    scores = magnitudes(weights())
    masks = make_masks(scores, ALLOCATIONS[name].allocate(scores, 0.0, CLASSES))
    assert all(mask.all() for mask in masks.values())


@pytest.mark.parametrize("name", sorted(ALLOCATIONS))
@pytest.mark.parametrize("sparsity", [-0.1, 1.0, 1.5, math.nan])
def test_a_sparsity_outside_of_its_range_is_refused(name, sparsity):
    with pytest.raises(ValueError, match=r"^sparsity must be in \[0, 1\), but is "):
        ALLOCATIONS[name].allocate(magnitudes(weights()), sparsity, CLASSES)


@pytest.mark.parametrize("name", sorted(ALLOCATIONS))
def test_the_fixed_range_is_outside_of_all_counts(name):
    tensors = weights()
    tensors["emb"][0] = 0.0
    scores = magnitudes(tensors)
    scores["emb"] = Score(tensors["emb"], absolute=True, fixed=(0, 8))
    budgets = ALLOCATIONS[name].allocate(scores, 0.5, CLASSES)
    masks = make_masks(scores, budgets)
    assert masks["emb"][0].all()
    assert int(masks["emb"][1:].sum()) == budgets["emb"]
    assert budgets.total == pytest.approx(0.5 * (sum(w.numel() for w in tensors.values()) - 8))


def test_erk_densities_are_in_proportion_to_sum_over_product():
    scores = magnitudes({"a": torch.randn(100, 50), "b": torch.randn(200, 100)})
    budgets = erk(scores, 0.9, {})
    assert dict(budgets) == {"a": 833, "b": 1667}  # 150 : 300 of 2500


def test_erk_saturates_small_tensors_and_solves_again():
    scores = magnitudes(
        {"small": torch.randn(4, 4), "a": torch.randn(50, 50), "b": torch.randn(50, 50)}
    )
    budgets = erk(scores, 0.2, {})
    assert budgets["small"] == 16
    assert budgets.total == 5016 - round_count(0.2, 5016)
    assert abs(budgets["a"] - budgets["b"]) <= 1


def test_erk_gives_the_odd_weight_to_the_earlier_tensor():
    scores = magnitudes({"z": torch.randn(5, 5), "a": torch.randn(5, 5)})
    assert dict(erk(scores, 0.5, {})) == {"z": 13, "a": 12}


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=6),
    st.floats(0, 0.999),
)
def test_erk_is_exact_and_never_above_what_there_is(shapes, sparsity):
    scores = magnitudes({str(i): torch.ones(shape) for i, shape in enumerate(shapes)})
    budgets = erk(scores, sparsity, {})
    total = sum(rows * cols for rows, cols in shapes)
    assert budgets.total == total - round_count(sparsity, total)
    assert all(0 <= budgets[n] <= scores[n].numel_prunable for n in scores)
    epsilon = budgets.found.epsilon
    for name, score in scores.items():
        if budgets[name] < score.numel_prunable:
            assert budgets[name] == pytest.approx(epsilon * sum(score.values.shape), abs=1.0)


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.333, 0.8, 0.999])
def test_given_the_same_for_each_class_is_uniform_bit_for_bit(sparsity):
    scores, shares = magnitudes(weights()), {"*": 0.1, **dict.fromkeys(CLASSES.values(), sparsity)}
    budgets = allocate_given(scores, 0.9999, CLASSES, shares)
    uniform = class_uniform(scores, sparsity, CLASSES)
    assert dict(budgets) == dict(uniform)
    one, other = make_masks(scores, budgets), make_masks(scores, uniform)
    assert all(torch.equal(one[name], other[name]) for name in scores)


def test_given_what_blind_removes_of_each_class_is_blinds_count_of_each():
    scores = magnitudes(weights())
    blind = class_blind(scores, 0.7, CLASSES)
    removed, totals = removed_of(scores, blind), {}
    for name, score in scores.items():
        gone, total = totals.get(CLASSES[name], (0, 0))
        totals[CLASSES[name]] = (gone + removed[name], total + score.numel_prunable)
    shares = {label: gone / total for label, (gone, total) in totals.items()}
    assert dict(allocate_given(scores, 0.7, CLASSES, shares)) == dict(blind)


@pytest.mark.parametrize("part", [0.0, 0.25, 1.0])
def test_given_removes_in_proportion_below_the_whole(part):
    scores, shares = magnitudes(weights()), {"embedding": 0.9, "layer1": 0.5, "*": 0.2}
    totals = {"embedding": 480, "layer1": 512, "softmax": 480}
    whole = overall(shares, totals)
    removed = removed_of(scores, allocate_given(scores, part * whole, CLASSES, shares))
    assert removed["emb"] == round_count(part * 0.9, 480)
    assert removed["l1.ih"] + removed["l1.hh"] == round_count(part * 0.5, 512)
    assert removed["out"] == round_count(part * 0.2, 480)


def test_given_nothing_for_a_class_names_it():
    with pytest.raises(ValueError, match="no share for the class 'layer1'"):
        allocate_given(magnitudes(weights()), 0.5, CLASSES, {"embedding": 0.5})


def test_a_tensor_without_a_class_is_named():
    with pytest.raises(ValueError, match=r"^'out' has no weight class: "):
        class_uniform(magnitudes(weights()), 0.5, {k: v for k, v in CLASSES.items() if k != "out"})


def test_the_registry_is_sorted_and_documented():
    assert list(ALLOCATIONS) == sorted(ALLOCATIONS)
    assert all(entry.summary and entry.paper for entry in ALLOCATIONS.values())


def test_blind_keeps_the_largest_magnitudes_of_all():
    tensors = weights()
    masks = make_masks(magnitudes(tensors), class_blind(magnitudes(tensors), 0.8, CLASSES))
    size = np.concatenate([w.abs().reshape(-1).numpy() for w in tensors.values()])
    kept = np.concatenate([m.reshape(-1).numpy() for m in masks.values()])
    assert size[kept].min() >= size[~kept].max()


# -------------------------------------------------------------- classes that have lost more already
@st.composite
def uneven(draw):
    """Shares, sizes and what is gone of up to five classes, and a smaller share of the same."""
    sizes = draw(st.lists(st.integers(1, 2000), min_size=1, max_size=5))
    totals = {f"class {i}": size for i, size in enumerate(sizes)}
    gone = {n: draw(st.integers(0, size)) for n, size in totals.items()}
    share, less = draw(st.floats(0, 0.99)), draw(st.floats(0, 1))
    return totals, gone, share, less * share


def uniform(share, totals):
    return dict.fromkeys(totals, share)


@given(uneven())
def test_what_goes_is_in_all_what_was_asked_for(case):
    totals, gone, share, _ = case
    wanted = sum(round_count(share, total) for total in totals.values())
    away = removals(uniform(share, totals), totals, gone)
    assert sum(away.values()) == max(wanted, sum(gone.values()))
    assert all(gone[n] <= away[n] <= totals[n] for n in totals)


@given(uneven())
def test_classes_that_give_are_level(case):
    """Those that lose something now have the same share gone, up to a weight of each."""
    totals, gone, share, _ = case
    away = removals(uniform(share, totals), totals, gone)
    levels = {n: away[n] / totals[n] for n in totals}
    for n in (n for n in totals if away[n] > gone[n]):
        for other in totals:
            assert levels[n] - 1 / totals[n] <= levels[other] + 1 / totals[other], (n, other)


@given(uneven())
def test_steps_come_to_the_same(case):
    totals, gone, share, less = case
    between = removals(uniform(less, totals), totals, gone)
    assert removals(uniform(share, totals), totals, between) == removals(
        uniform(share, totals), totals, gone
    )


def test_a_class_that_lost_more_makes_the_others_give_less():
    totals = {"a": 100, "b": 100, "c": 200}
    assert removals(uniform(0.5, totals), totals, {"a": 80, "b": 0, "c": 0}) == {
        "a": 80, "b": 40, "c": 80,
    }  # fmt: skip
    shares = {"a": 0.5, "b": 0.4, "c": 0.2}  # 50 + 40 + 40
    assert removals(shares, totals, {"a": 90, "b": 0, "c": 0}) == {"a": 90, "b": 20, "c": 20}


@pytest.mark.parametrize("name", ["class-uniform", "given"])
def test_uneven_masks_are_made_up_for(name):
    tensors = weights()
    alive = {n: torch.ones(w.shape, dtype=torch.bool) for n, w in tensors.items()}
    alive["emb"].reshape(-1)[:432] = False  # 90% of 480
    scores = {n: Score(w, absolute=True, alive=alive[n]) for n, w in tensors.items()}
    shares = {} if name == "class-uniform" else {"shares": {"*": 0.5}}
    budgets = ALLOCATIONS[name].allocate(scores, 0.5, CLASSES, **shares)
    total = sum(w.numel() for w in tensors.values())
    assert budgets.total == total - round_count(0.5, total)
    assert budgets["emb"] == 48


# ------------------------------------------------------- some of each tensor stay in any case
def graded():
    """Tensors of 100 whose weights lie in one order: all of the first below all of the next."""
    return {f"w{i}": Score(torch.arange(100.0) + 100 * i) for i in range(4)}


NO_CLASSES = {f"w{i}": "all" for i in range(4)}


@pytest.mark.parametrize("name", sorted(ALLOCATIONS))
@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.5, 0.8, 0.9])
def test_what_stays_in_any_case_is_made_up_for(name, sparsity):
    scores = graded()
    least = dict.fromkeys(scores, 7)
    shares = {"shares": {"*": sparsity}} if name == "given" else {}
    allocate = ALLOCATIONS[name].allocate
    budgets = allocate(scores, sparsity, NO_CLASSES, least=least, **shares)
    assert budgets.total == 400 - round_count(sparsity, 400)
    assert min(budgets.values()) >= 7
    free = allocate(scores, sparsity, NO_CLASSES, **shares)
    if min(free.values()) >= 7:
        assert dict(budgets) == dict(free)
    kept = make_masks(scores, budgets)
    assert {n: int(mask.sum()) for n, mask in kept.items()} == dict(budgets)


def test_the_best_stay_in_any_case_and_the_others_are_ranked_as_always():
    budgets = class_blind(graded(), 0.9, NO_CLASSES, least=dict.fromkeys(NO_CLASSES, 5))
    assert dict(budgets) == {"w0": 5, "w1": 5, "w2": 5, "w3": 25}


def test_more_that_stays_than_may_be_left_stays():
    budgets = class_blind(graded(), 0.99, NO_CLASSES, least=dict.fromkeys(NO_CLASSES, 30))
    assert dict(budgets) == dict.fromkeys(NO_CLASSES, 30)


def test_what_is_gone_cannot_stay():
    scores = graded()
    alive = torch.zeros(100, dtype=torch.bool)
    alive[:3] = True
    scores["w0"] = Score(scores["w0"].values, alive=alive)
    budgets = class_blind(scores, 0.9, NO_CLASSES, least=dict.fromkeys(NO_CLASSES, 5))
    assert dict(budgets) == {"w0": 3, "w1": 5, "w2": 5, "w3": 27}
