import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq_prune.maths.compare import dead_rows, jaccard, overlap, removed


def mask(*bits):
    return torch.tensor(bits, dtype=torch.bool)


A = {"x": mask(1, 1, 0, 0), "y": mask(1, 0)}
B = {"x": mask(1, 0, 1, 0), "y": mask(1, 1)}


def test_counts_by_hand():
    assert removed(A["x"]) == 2
    assert overlap(A, B) == pytest.approx(2 / 3)
    assert overlap(B, A) == pytest.approx(2 / 4)
    assert jaccard(A, B) == jaccard(B, A) == pytest.approx(2 / 5)


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1))
def test_a_mask_is_like_itself(bits):
    masks = {"x": torch.tensor(bits)}
    assert overlap(masks, masks) == jaccard(masks, masks) == 1.0
    assert removed(masks["x"]) == bits.count(False)


def test_masks_that_keep_nothing_are_alike():
    nothing = {"x": mask(0, 0)}
    assert overlap(nothing, {"x": mask(1, 0)}) == 1.0
    assert jaccard(nothing, nothing) == 1.0
    assert jaccard(nothing, {"x": mask(1, 0)}) == 0.0


def test_dead_rows_by_hand():
    rows = torch.tensor([[True, False], [False, False], [False, False]])
    assert dead_rows(rows) == 2
    assert dead_rows(rows[:, :, None]) == 2
    assert dead_rows(mask(1, 0, 0)) == 2
    assert dead_rows(torch.ones(0, 4, dtype=torch.bool)) == 0


def test_rows_of_a_single_number_are_refused():
    with pytest.raises(ValueError, match="^a mask with rows must have a dimension"):
        dead_rows(torch.tensor(True))


def test_masks_of_other_tensors_are_named():
    with pytest.raises(ValueError, match=r"^both must mask the same tensors, but only one has 'y'"):
        overlap(A, {"x": A["x"]})
    with pytest.raises(ValueError, match=r"^the shapes for 'x' must be the same, but are \(4,\)"):
        jaccard(A, {"x": mask(1), "y": A["y"]})
