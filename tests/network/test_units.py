"""Where units lie, how their scores are pooled, and what masks are left without them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fairseq_prune.maths.score import Score
from fairseq_prune.network.axes import choose_axes, find_axes, heads_in
from fairseq_prune.network.options import Options
from fairseq_prune.network.unit_masks import cut, gone, pool, sums
from fairseq_prune.network.units import Axis, Place
from fairseq_prune.network.weights import Weight, of_state_dict

ATTENTION = "encoder.layers.0.self_attn"


def transformer() -> dict[str, Tensor]:
    """One encoder layer: 2 heads of 3, 4 neurons, an embedding of 6."""
    draw = torch.Generator().manual_seed(1)
    shapes = {f"{ATTENTION}.{p}_proj.weight": (6, 6) for p in ("k", "v", "q", "out")}
    shapes |= {f"{ATTENTION}.{p}_proj.bias": (6,) for p in ("k", "v", "q", "out")}
    shapes |= {"encoder.layers.0.fc1.weight": (4, 6), "encoder.layers.0.fc1.bias": (4,)}
    shapes |= {"encoder.layers.0.fc2.weight": (6, 4), "encoder.layers.0.fc2.bias": (6,)}
    return {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}


def axes_of(tensors: dict[str, Tensor]) -> dict[str, Axis]:
    return {axis.name: axis for axis in find_axes(tensors, {ATTENTION: 2})}


def test_a_head_is_rows_of_three_matrices_and_columns_of_the_fourth() -> None:
    state = transformer()
    axes, weights = axes_of(state), of_state_dict(state)
    heads = axes[f"{ATTENTION}.heads"]
    masks = cut({heads.name: heads}, {heads.name: torch.tensor([True, False])}, weights, None)
    assert set(masks) == {f"{ATTENTION}.{part}_proj.weight" for part in ("q", "k", "v", "out")}
    for part in "qkv":
        mask = masks[f"{ATTENTION}.{part}_proj.weight"]
        assert mask[:3].all()
        assert not mask[3:].any()
    assert masks[f"{ATTENTION}.out_proj.weight"][:, :3].all()
    assert not masks[f"{ATTENTION}.out_proj.weight"][:, 3:].any()


def test_a_neuron_is_a_row_and_a_column() -> None:
    state = transformer()
    axis = axes_of(state)["encoder.layers.0.ffn"]
    kept = torch.tensor([True, False, True, True])
    masks = cut({axis.name: axis}, {axis.name: kept}, of_state_dict(state), None)
    assert torch.equal(masks["encoder.layers.0.fc1.weight"], kept[:, None].expand(4, 6))
    assert torch.equal(masks["encoder.layers.0.fc2.weight"], kept[None, :].expand(6, 4))


@given(st.lists(st.booleans(), min_size=6, max_size=6))
def test_what_is_cut_is_gone_and_nothing_else(flags: list[bool]) -> None:
    state = transformer()
    axes, weights = axes_of(state), of_state_dict(state)
    axes.pop("encoder.layers")  # gone as well, where all of its units are
    kept = {f"{ATTENTION}.heads": torch.tensor(flags[:2])}
    kept["encoder.layers.0.ffn"] = torch.tensor(flags[2:])
    masks = cut(axes, kept, weights, None)
    for name, axis in axes.items():
        assert torch.equal(gone(axis, masks, weights), ~kept[name])


def test_masks_only_shrink() -> None:
    state = transformer()
    axis, weights = axes_of(state)["encoder.layers.0.ffn"], of_state_dict(state)
    before = {"encoder.layers.0.fc1.weight": torch.rand(4, 6) > 0.5}
    after = cut({axis.name: axis}, {axis.name: torch.arange(4) > 0}, weights, before)
    grown = after["encoder.layers.0.fc1.weight"] & ~before["encoder.layers.0.fc1.weight"]
    assert not grown.any()


def test_a_tensor_without_a_mask_is_whole() -> None:
    state = transformer()
    axis, weights = axes_of(state)["encoder.layers.0.ffn"], of_state_dict(state)
    masks = {"encoder.layers.0.fc1.weight": torch.zeros(4, 6, dtype=torch.bool)}
    assert not gone(axis, masks, weights).any()


@pytest.mark.parametrize("pooled", ["mean", "max", "sum", "norm"])
def test_a_pooled_score_is_that_of_the_weights_it_has_left(pooled: str) -> None:
    one, two = torch.tensor([[1.0, -2.0], [0.5, 4.0]]), torch.tensor([[3.0, 8.0]])
    alive = torch.tensor([[True, True], [True, False]])
    axis = Axis("a", "ffn", "a", 2, (Place("one", 0), Place("two", 1, reads=True)))
    scores = {"one": Score(one, absolute=True, alive=alive), "two": Score(two, absolute=True)}
    expected = {
        "mean": [(1 + 2 + 3) / 3, (0.5 + 8) / 2],
        "max": [3.0, 8.0],
        "sum": [6.0, 8.5],
        "norm": [(1 + 4 + 9) ** 0.5, (0.25 + 64) ** 0.5],
    }[pooled]
    found = pool(axis, scores, pooled)
    assert found.alive is None
    assert torch.allclose(found.values, torch.tensor(expected, dtype=torch.float64))


def test_a_unit_without_weights_is_gone_in_the_ranking() -> None:
    axis = Axis("a", "ffn", "a", 2, (Place("one", 0),))
    alive = torch.tensor([[True, True], [False, False]])
    found = pool(axis, {"one": Score(torch.ones(2, 2), alive=alive)}, "mean")
    assert found.alive is not None
    assert found.alive.tolist() == [True, False]


def test_gates_lie_apart_and_halves_side_by_side() -> None:
    gates = Place("w", 0, offset=2, copies=4, stride=6)  # cells 2 and 3 of 6, in four gates
    assert gates.indices(torch.tensor([0, 1])).tolist() == [[2, 8, 14, 20], [3, 9, 15, 21]]
    head = Place("w", 1, width=3, reads=True)
    assert head.indices(torch.tensor([1])).tolist() == [[3, 4, 5]]
    values = {"w": torch.arange(12.0).reshape(2, 6)}
    axis = Axis("a", "heads", "a", 2, (head,))
    assert sums(axis, values, "readers").tolist() == [
        0 + 1 + 2 + 6 + 7 + 8,
        3 + 4 + 5 + 9 + 10 + 11,
    ]


def test_classes_group_axes_as_they_group_weights() -> None:
    state = {
        name.replace("encoder.layers.0", f"{side}.layers.{k}"): value.clone()
        for side in ("encoder", "decoder")
        for k in (0, 1)
        for name, value in transformer().items()
        if ".fc" in name
    }
    axes, names = find_axes(state, {}), list(of_state_dict(state))
    labels = {
        classes: [axis.label for axis in choose_axes(axes, ["ffn"], names, state, classes).values()]
        for classes in ("paper", "component", "tensor")
    }
    assert labels["paper"][:2] == ["source-layer-1.ffn", "source-layer-2.ffn"]
    assert labels["component"] == ["source-layers.ffn"] * 2 + ["target-layers.ffn"] * 2
    assert labels["tensor"][3] == "decoder.layers.1.ffn"


def test_units_that_are_not_there_are_named() -> None:
    state = transformer()
    axes, names = list(axes_of(state).values()), list(of_state_dict(state))
    with pytest.raises(ValueError, match="hidden finds no units in this model; it has: ffn, heads"):
        choose_axes(axes, ["hidden"], names, state)
    left = [name for name in names if "fc2" not in name]
    with pytest.raises(ValueError, match="ffn finds no units in this model; all of them are excl"):
        choose_axes(axes, ["ffn"], left, state)


def test_a_configuration_that_does_not_fit_is_refused() -> None:
    state = transformer()
    state["encoder.layers.0.fc2.weight"] = torch.ones(6, 3)
    with pytest.raises(ValueError, match="fc2.weight has 3 entries in dimension 1, too few for"):
        axes_of(state)
    state["encoder.layers.0.fc2.weight"] = torch.ones(6)
    with pytest.raises(ValueError, match="fc2.weight has 0 entries in dimension 1, too few for"):
        axes_of(state)


def test_heads_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"q_proj.weight has \d+ rows, which are not 5 heads"):
        find_axes(transformer(), {ATTENTION: 5})


@pytest.mark.parametrize("heads", ["3", "3,0", "3,x", ""])
def test_heads_that_are_not_told_for_each_layer_are_refused(heads: str) -> None:
    names = ["encoder.layers.1.self_attn.q_proj.weight"]
    with pytest.raises(ValueError, match="does not say how many encoder.layers.1.self_attn has"):
        heads_in(Options({"encoder_heads": heads}), names)


def test_heads_are_read_from_the_settings() -> None:
    names = [f"{ATTENTION}.q_proj.weight", "decoder.layers.1.encoder_attn.q_proj.weight"]
    stock = {"encoder_attention_heads": 4, "decoder_attention_heads": 2}
    found = heads_in(Options(stock), names)
    assert found == {ATTENTION: 4, "decoder.layers.1.encoder_attn": 2}
    ours = {**stock, "encoder_heads": "3,1", "decoder_cross_heads": "5,6"}
    assert heads_in(Options(ours), names) == {ATTENTION: 3, "decoder.layers.1.encoder_attn": 6}


def test_tied_columns_are_counted_once() -> None:
    table = torch.ones(5, 4)
    axis = Axis("a", "embedding", "a", 4, (Place("x", 1), Place("y", 1, reads=True)))
    from fairseq_prune.network.units import owned

    (place,) = owned(axis, {"x": "x", "y": "x"}).places
    assert place == Place("x", 1, reads=True)
    weights = {"x": Weight("x", table, "c", fixed=(4, 8))}
    masks = cut({"a": axis}, {"a": torch.arange(4) > 1}, weights, None)
    assert not masks["x"][:, :2].any()  # of the pad row too
