"""Masks: checked, immutable, packed to one bit a weight."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fairseq_prune.masks.state import Masks, pack_bits, unpack_bits


def masks(**tensors: list[Any]) -> Masks:
    return Masks({name: torch.tensor(value, dtype=torch.bool) for name, value in tensors.items()})


@given(st.lists(st.booleans(), min_size=1, max_size=70), st.integers(1, 5))
def test_packing_and_unpacking_gives_the_mask_back(bits: list[bool], rows: int) -> None:
    mask = torch.tensor([bits] * rows)
    packed = pack_bits(mask)
    assert packed.numel() == (mask.numel() + 7) // 8
    assert torch.equal(unpack_bits(packed, tuple(mask.shape)), mask)


def test_a_mask_of_another_layout_is_packed_by_its_order_of_indices() -> None:
    mask = torch.tensor([[True, False], [False, True], [True, True]])
    assert torch.equal(pack_bits(mask.t()), pack_bits(mask.t().contiguous()))


def test_counts_are_exact_and_leave_the_pad_row_out() -> None:
    m = Masks({"e": torch.tensor([[True, False], [True, True], [False, False]])}, {"e": (2, 4)})
    assert m.prunable("e") == 4
    assert m.removed("e") == 3
    assert m.sparsity() == 0.75


def test_a_mask_that_prunes_its_pad_row_is_refused() -> None:
    with pytest.raises(ValueError, match=r"The mask of e prunes inside its pad row \(0:2\)\."):
        Masks({"e": torch.zeros(2, 2, dtype=torch.bool)}, {"e": (0, 2)})


def test_a_mask_has_to_be_bool() -> None:
    with pytest.raises(
        ValueError, match=r"The mask of a is torch\.float32; it must be torch\.bool"
    ):
        Masks({"a": torch.ones(2)})


def test_the_digest_depends_on_bits_names_and_shapes_but_not_on_order() -> None:
    one = masks(a=[[True, False]], b=[[True]])
    other_order = Masks(dict(reversed(list(one.items()))))
    assert one.digest() == other_order.digest()
    different = [
        masks(a=[[False, True]], b=[[True]]),
        masks(a=[[True], [False]], b=[[True]]),
        masks(c=[[True, False]], b=[[True]]),
        Masks(dict(one), {"b": (0, 1)}),
    ]
    assert len({one.digest(), *(m.digest() for m in different)}) == 5


def test_unpacking_gives_equal_masks() -> None:
    m = Masks({"e": torch.tensor([[True, False, True]] * 3)}, {"e": (0, 1)})
    again = Masks.unpack(m.pack(), "file")
    assert again.digest() == m.digest()
    assert again.fixed == m.fixed


@pytest.mark.parametrize(
    "damage",
    [
        lambda p: p["bits"]["a"].__setitem__(0, 0),
        lambda p: p.pop("shapes"),
        lambda p: p["shapes"].__setitem__("a", [2**40, 2**40]),
        lambda p: p["shapes"].__setitem__("a", [-1, -3]),
        lambda p: p["fixed"].__setitem__("a", [0, 1]),
        lambda p: p["bits"].__setitem__("a", torch.ones(1)),
        lambda p: p.__setitem__("digest", "0"),
        lambda p: p.__setitem__("shapes", 7),
    ],
)
def test_damaged_masks_are_refused_by_the_name_of_their_file(damage: Any) -> None:
    packed = masks(a=[[True, False, True]]).pack()
    damage(packed)
    with pytest.raises(ValueError, match="The masks in some.pt are damaged"):
        Masks.unpack(packed, "some.pt")


def test_masks_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        masks(a=[True])._masks["a"] = torch.ones(1)  # type: ignore[index]
