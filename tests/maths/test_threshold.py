import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from fairseq_prune.maths import stream, threshold
from fairseq_prune.maths.radix import radix_cut
from fairseq_prune.maths.score import Score
from fairseq_prune.maths.threshold import find_cut
from tests.maths.ranking import alive_in, keys_of, rankings


def plain_cut(scores, keep):
    keys = np.sort(np.concatenate([keys_of(score) for score in scores.values()]))
    return keys[len(keys) - keep]


@settings(deadline=None, max_examples=80)
@given(rankings())
def test_the_radix_count_finds_the_key_of_a_sort(case):
    scores, keep = case
    if keep > 0:
        assert radix_cut(scores, keep) == plain_cut(scores, keep)
    assert radix_cut(scores, alive_in(scores) + 1) == -math.inf


@settings(deadline=None, max_examples=80)
@given(rankings())
def test_bracket_and_radix_count_agree(case):
    scores, keep = case
    bracket, radix = find_cut(scores, keep), find_cut(scores, keep, attempts=0)
    assert (bracket.key, bracket.kept) == (radix.key, radix.kept)


def test_the_result_does_not_depend_on_the_sample(monkeypatch):
    values = torch.randn(600_000, generator=torch.Generator().manual_seed(0))
    scores = {"a": Score(values[:200_000]), "b": Score(values[200_000:], absolute=True)}
    first = find_cut(scores, 123_456)
    for seed in (1, 2, 3):
        monkeypatch.setattr(threshold, "_SEED", seed)
        again = find_cut(scores, 123_456)
        assert (again.key, again.kept) == (first.key, first.kept)


@pytest.mark.parametrize("shift", [-0.5, 0.5])
def test_a_bracket_that_misses_is_replaced(monkeypatch, shift):
    values = torch.randn(600_000, generator=torch.Generator().manual_seed(0))
    scores = {"a": Score(values)}
    draw = threshold._draw
    monkeypatch.setattr(threshold, "_draw", lambda *args: draw(*args) + shift)
    assert find_cut(scores, 60_000).key == plain_cut(scores, 60_000)


def test_a_sample_of_nothing_but_lies_still_gives_the_cut(monkeypatch):
    values = torch.randn(600_000, generator=torch.Generator().manual_seed(0))
    scores = {"a": Score(values)}
    lie = np.full((threshold.SAMPLE // stream.RUN, stream.RUN), 77.0)
    monkeypatch.setattr(threshold, "_draw", lambda *args: lie)
    assert find_cut(scores, 60_000).key == plain_cut(scores, 60_000)


def test_one_pass_is_enough_for_ordinary_weights(monkeypatch):
    scores = {"a": Score(torch.randn(2_000_000, generator=torch.Generator().manual_seed(3)))}
    passes = []
    scan = threshold._scan_all
    monkeypatch.setattr(threshold, "_scan_all", lambda *args: passes.append(args) or scan(*args))
    cut = find_cut(scores, 400_000)
    assert len(passes) == 1
    assert cut.masks["a"].sum() == 400_000
    found = scan(*passes[0])
    assert found["a"].inside < 40_000


def test_a_row_structure_widens_the_bracket_before_it_can_miss():
    share = 0.2
    alone = np.random.default_rng(0).random((4096, stream.RUN)) < share
    in_runs = np.repeat(np.random.default_rng(0).random((4096, 1)) < share, stream.RUN, axis=1)
    ratio = threshold._deviation(in_runs, share) / threshold._deviation(alone, share)
    assert ratio == pytest.approx(math.sqrt(stream.RUN), rel=0.1)


def test_the_sample_comes_from_all_tensors_in_proportion_and_never_from_fixed_ranges():
    scores = {
        "a": Score(torch.full((100_000,), 1.0)),
        "b": Score(torch.full((300_000,), 2.0), fixed=(100_000, 200_000)),
        "c": Score(torch.full((100_000,), 3.0)),
    }
    scores["b"].values[100_000:200_000] = 9.0
    keys, counts = np.unique(threshold._draw(scores, 400_000), return_counts=True)
    assert keys.tolist() == [1.0, 2.0, 3.0]
    assert counts / counts.sum() == pytest.approx([0.25, 0.5, 0.25], rel=1e-3)
