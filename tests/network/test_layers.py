"""Which layers there are, what they are called without others, and what cannot be taken."""

from typing import Any

import pytest
import torch
from torch import nn

from fairseq_prune.checkpoints import storage
from fairseq_prune.checkpoints.storage import CheckpointError
from fairseq_prune.masks.state import Masks
from fairseq_prune.network.axes import check_layers, find_axes
from fairseq_prune.network.layers import kept_of, layer_of, leave_out_, left_out, renamed, without
from fairseq_prune.network.options import Options

PARTS = ("self_attn.q_proj.weight", "self_attn.out_proj.weight", "fc1.weight", "fc2.weight")


def tensors(prefix: str = "", layers: int = 3) -> dict[str, torch.Tensor]:
    names = [
        f"{prefix}{side}.layers.{k}.{part}"
        for side in ("encoder", "decoder")
        for k in range(layers)
        for part in PARTS
    ]
    return {name: torch.ones(4, 4) for name in names}


def stacks(state: dict[str, torch.Tensor]) -> dict[str, Any]:
    return {axis.name: axis for axis in find_axes(state, {}) if axis.modules}


def test_layers_are_found_in_the_order_of_their_numbers() -> None:
    found = stacks(tensors(layers=11))
    assert list(found) == ["encoder.layers", "decoder.layers"]
    assert found["decoder.layers"].modules == tuple(f"decoder.layers.{k}" for k in range(11))
    assert found["encoder.layers"].label == "source-layers"


def test_layers_of_several_models_or_that_share_a_matrix_are_none() -> None:
    assert stacks(tensors("models.de-en.")) == {}
    state = tensors()
    state["encoder.layers.1.fc1.weight"] = state["encoder.layers.0.fc1.weight"]
    assert list(stacks(state)) == ["decoder.layers"]
    state = tensors() | {"decoder.layers.0.encoder_attn.bert_attn.q_proj.weight": torch.ones(4, 4)}
    assert list(stacks(state)) == ["encoder.layers"]


def test_the_others_are_renumbered() -> None:
    kept = kept_of({"encoder.layers.0", "decoder.layers.2"}, tensors())
    assert kept == {"encoder": [1, 2], "decoder": [0, 1]}
    assert renamed("encoder.layers.2.fc1.bias", kept) == "encoder.layers.1.fc1.bias"
    assert renamed("encoder.layers.0.fc1.bias", kept) is None
    assert renamed("encoder.layer_norm.weight", kept) == "encoder.layer_norm.weight"
    assert layer_of("encoder.layers.10.fc1_weight") == "encoder.layers.10"
    assert layer_of("models.a.encoder.layers.1.fc1.weight") is None


class Layer(nn.Module):
    def forward(self, x: Any) -> Any:
        return x + 1


def stack() -> Any:
    model = nn.Module()
    model.encoder = nn.Module()
    model.encoder.layers = nn.ModuleList(Layer() for _ in range(3))
    return model


def test_what_is_left_out_runs_again_as_before() -> None:
    model = stack()
    layers = model.encoder.layers
    layers[2].forward = lambda x: x + 5  # as fairseq's checkpointing of activations does
    leave_out_(model, {"encoder.layers.0", "encoder.layers.2"})
    assert [layer(1) for layer in layers] == [1, 2, 1]
    with without(model, "encoder.layers.1"):
        assert [layer(1) for layer in layers] == [1, 1, 1]
    assert left_out(model) == {"encoder.layers.0", "encoder.layers.2"}
    leave_out_(model, ())
    assert [layer(1) for layer in layers] == [2, 2, 6]


def test_masks_remember_which_layers_are_out() -> None:
    whole = Masks({"w": torch.ones(2, 2, dtype=torch.bool)})
    some = Masks(dict(whole), out={"encoder.layers.1"})
    assert some.digest() != whole.digest()
    packed = some.pack()
    assert Masks.unpack(packed, "it").out == {"encoder.layers.1"}
    assert (whole & some).out == some.out
    assert "out" not in whole.pack()
    for value in (["encoder.layers.2"], "encoder.layers.1", [3]):
        with pytest.raises(ValueError, match="are damaged"):
            Masks.unpack({**packed, "out": value}, "it")
    odd = {"format": storage.FORMAT, "masks": Masks(dict(whole), out={"encoder"}).pack()}
    with pytest.raises(CheckpointError, match="leave out 'encoder', which is no layer"):
        storage.masks_in(odd, "it")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"encoder": {"layers": 3}}, "needs settings as fairseq-train writes them"),
        ({"alignment_layer": 1}, "cannot take decoder layer 0: words are aligned by layer 1"),
        ({"early_exit": "3,3,3"}, "cannot take layers of a model with --early-exit"),
    ],
)
def test_layers_that_something_else_counts_stay(settings: Any, words: str) -> None:
    axes = stacks(tensors())
    check_layers(axes, Options({}))
    with pytest.raises(ValueError, match=words):
        check_layers(axes, Options(settings))
    del axes["decoder.layers"]
    if "alignment_layer" in settings:  # layers of the encoder may go
        check_layers(axes, Options(settings))
