"""Masks go the way that the tensors of their file go when a model reads it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fairseq_prune.checkpoints.mask_layout import as_loaded, given_masks
from fairseq_prune.checkpoints.storage import CheckpointError
from fairseq_prune.masks.state import Masks
from fairseq_prune.network.weights import Weight


def weights(**shapes: tuple[int, ...]) -> dict[str, Weight]:
    return {n: Weight(n, torch.zeros(shape), aliases=(n,)) for n, shape in shapes.items()}


def split(state):
    """As fairseq does with the one matrix of older files."""
    state = dict(state)
    if "old" in state:
        state["q"], state["k"] = state.pop("old").chunk(2)
    return state


@given(st.lists(st.booleans(), min_size=24, max_size=24))
def test_a_matrix_that_is_taken_apart_takes_its_mask_along(bits: list[bool]) -> None:
    mask, other = torch.tensor(bits).view(6, 4), torch.ones(2, 2, dtype=torch.bool)
    stored = {"old": torch.randn(6, 4), "rest": torch.randn(2, 2), "dense": torch.randn(3, 3)}
    of = weights(q=(3, 4), k=(3, 4), rest=(2, 2), dense=(3, 3))
    found = as_loaded(Masks({"old": mask, "rest": other}), of, stored, split)
    assert set(found) == {"q", "k", "rest"}  # nothing is made up for what had no mask
    assert torch.equal(torch.cat([found["q"], found["k"]]), mask)
    assert found.removed_in_all() == int((~mask).sum())


def test_rows_that_are_cut_or_new_take_their_masks_along() -> None:
    mask = torch.tensor([[True, False], [False, True], [False, False]])
    stored = {"table": torch.randn(3, 2)}

    def cut(state):
        return {"table": state["table"][:2]}

    def extend(state):
        return {"table": torch.cat([state["table"], torch.randn(2, 2)])}

    masks = Masks({"table": mask})
    assert torch.equal(as_loaded(masks, weights(table=(2, 2)), stored, cut)["table"], mask[:2])
    longer = as_loaded(masks, weights(table=(5, 2)), stored, extend)["table"]
    assert torch.equal(longer[:3], mask) and longer[3:].all()


def test_masks_that_fit_are_the_same_and_nothing_is_loaded() -> None:
    masks = Masks({"a": torch.ones(2, 2, dtype=torch.bool)})
    assert as_loaded(masks, weights(a=(2, 2)), {}, lambda state: pytest.fail("loaded")) is masks


def test_masks_of_another_model_are_refused(tmp_path) -> None:
    masks = Masks({"a": torch.ones(2, 2, dtype=torch.bool)})
    prune = {"format": 1, "masks": masks.pack()}
    content = {"model": {"a": torch.ones(2, 2)}, "task_state": {"prune": prune}}
    torch.save(content, tmp_path / "a.pt")
    path = str(tmp_path / "a.pt")
    assert given_masks(path, weights(a=(2, 2)), dict).digest() == masks.digest()
    with pytest.raises(CheckpointError, match="for another model: it has no weight a"):
        given_masks(path, weights(b=(2, 2)), dict)
    with pytest.raises(CheckpointError, match=r"a is \(2, 2\) there and \(3, 2\) here"):
        given_masks(path, weights(a=(3, 2)), dict)
    torch.save({"model": {}}, tmp_path / "b.pt")
    with pytest.raises(CheckpointError, match="^--masks-from .* holds no masks"):
        given_masks(str(tmp_path / "b.pt"), weights(a=(2, 2)), dict, "--masks-from")
