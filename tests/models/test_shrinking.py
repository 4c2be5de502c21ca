"""Cutting units out of every kind of network leaves its logits as they were."""

from pathlib import Path
from typing import Any

import pytest
import torch

from fairseq_prune.checkpoints.shrink import plan, shrink
from fairseq_prune.maths.structure import LAYERS, UNITS
from fairseq_prune.network.axes import choose_axes, find_axes, heads_of, tensors_of
from fairseq_prune.network.unit_masks import cut as masks_without
from fairseq_prune.network.weights import of_module
from fairseq_prune.tasks.opening import open_checkpoint
from tests.models.nets import NETS, batch, build, checkpoint, load, logits, net, save, settings

STOCK = ("lstm", "transformer", "lightconv")
INSIDE = tuple(kind for kind in UNITS if kind != LAYERS)  # zeros do not take a whole layer out
# of these we have no architecture with widths of their own
UNEVEN = [name for name in NETS if "no attention" not in name and name != "lightconv"]


def prune(model: Any, seed: int, even: bool, kinds: tuple[str, ...] = INSIDE) -> dict[str, Any]:
    """Random units of these kinds zeroed, half of each axis if ``even``; gives what is kept."""
    draw = torch.Generator().manual_seed(seed)
    weights = of_module(model)
    tensors = tensors_of(model)
    axes = choose_axes(find_axes(tensors, heads_of(model)), kinds, weights, tensors)
    kept = {}
    for name, axis in axes.items():
        share = 0.5 if even else float(torch.rand((), generator=draw))
        # one at least: a cut of nothing is refused
        gone = torch.randperm(axis.units, generator=draw)[: max(1, int(share * axis.units))]
        kept[name] = torch.ones(axis.units, dtype=torch.bool).index_fill_(0, gone, False)
    with torch.no_grad():
        for name, mask in masks_without(axes, kept, weights, None).items():
            weights[name].tensor.mul_(mask)
    return kept


def cut_of(tmp_path: Path, args: Any, model: Any, uniform: bool = False) -> dict[str, Any]:
    path = save(tmp_path / "pruned.pt", checkpoint(args, model))
    return shrink(plan(open_checkpoint(path), uniform))


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", UNEVEN)
def test_layers_of_different_widths_compute_the_same(name: str, seed: int, tmp_path: Path) -> None:
    args, model = net(name, seed)
    prune(model, seed, even=False)
    content = cut_of(tmp_path, args, model)
    small = load(content)
    assert torch.allclose(logits(small), logits(model), rtol=0, atol=1e-9)
    count = sum(p.numel() for p in small.parameters())
    assert count < sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", NETS)
def test_half_of_every_axis_needs_no_plugin(name: str, tmp_path: Path) -> None:
    args, model = net(name)
    kinds = ("hidden",) if "lstm" in name else ("ffn",)
    prune(model, 1, even=True, kinds=kinds)
    content = cut_of(tmp_path, args, model)
    small = load(content)
    assert torch.allclose(logits(small), logits(model), rtol=0, atol=1e-9)
    assert content["cfg"]["model"]._name in STOCK


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", NETS)
def test_uniform_widths_need_no_plugin(name: str, seed: int, tmp_path: Path) -> None:
    args, model = net(name, seed)
    prune(model, seed, even=False)
    content = cut_of(tmp_path, args, model, uniform=True)
    assert content["cfg"]["model"]._name in STOCK
    assert torch.allclose(logits(load(content)), logits(model), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", UNEVEN)
def test_decoding_word_by_word_computes_the_same(name: str, tmp_path: Path) -> None:
    args, model = net(name)
    prune(model, 1, even=False)
    small = load(cut_of(tmp_path, args, model))
    source, target = batch()
    with torch.no_grad():
        encoded = small.encoder(source, (source != 1).sum(dim=1))
        state: dict[str, Any] = {}
        steps = [
            small.decoder(target[:, : end + 1], encoder_out=encoded, incremental_state=state)[0]
            for end in range(target.shape[1])
        ]
    # fairseq's own step by step has a softmax in float32
    assert torch.allclose(torch.cat(steps, dim=1), logits(model), rtol=0, atol=1e-5)


def test_synflow_does_not_guess_at_padded_cells(tmp_path: Path) -> None:
    from fairseq_prune.tasks._flow import flow_of

    args, model = net("lstm, 2 layers")
    prune(model, 3, even=False)
    small = load(cut_of(tmp_path, args, model))
    assert type(small).__name__ == "ShrunkLSTMModel"
    with pytest.raises(ValueError, match="synflow does not know how to run a ShrunkLSTMModel"):
        flow_of(small)


@pytest.mark.parametrize("flags", ["--encoder-ffn-widths 4", "--encoder-ffn-widths 4,x"])
def test_widths_that_are_not_one_a_layer_are_refused(flags: str) -> None:
    widths = "--decoder-ffn-widths 4,4 --encoder-heads 1,1 --decoder-heads 1,1 --head-dim 4 "
    text = NETS["transformer"].replace("transformer", "shrunk_transformer") + widths + flags
    with pytest.raises(ValueError, match=r"must be 2 whole numbers, one a layer, such as 64,64"):
        build(settings(text + " --decoder-cross-heads 1,1"))


@pytest.mark.parametrize("name", ["transformer", "lstm, 2 layers", "lstm"])
def test_what_becomes_even_again_is_fairseqs_own(name: str, tmp_path: Path) -> None:
    args, model = net(name)
    kinds = ("ffn", "hidden")
    prune(model, 1, even=False, kinds=kinds)
    once = cut_of(tmp_path, args, model)
    assert once["cfg"]["model"]._name not in STOCK
    small = load(once)
    keep_one(small, kinds)
    twice = cut_of(tmp_path, once["cfg"]["model"], small)
    assert twice["cfg"]["model"]._name == twice["cfg"]["model"].arch
    assert twice["cfg"]["model"]._name in STOCK
    assert torch.allclose(logits(load(twice)), logits(small), rtol=0, atol=1e-9)


def keep_one(model: Any, kinds: tuple[str, ...]) -> None:
    """All but the first unit of each axis zeroed."""
    weights, tensors = of_module(model), tensors_of(model)
    axes = choose_axes(find_axes(tensors, heads_of(model)), kinds, weights, tensors)
    kept = {name: torch.arange(axis.units) < 1 for name, axis in axes.items()}
    with torch.no_grad():
        for name, mask in masks_without(axes, kept, weights, None).items():
            weights[name].tensor.mul_(mask)


@pytest.mark.parametrize(
    ("name", "unit", "uniform", "why"),
    [
        ("lstm, both ways", "layers.0.forward", False, "both directions are alike"),
        (
            "transformer",
            "encoder.layers.0.self_attn.heads",
            True,
            "so that stock fairseq can open it",
        ),
    ],
)
def test_units_that_have_to_stay_are_nothing_to_cut_out(
    name: str, unit: str, uniform: bool, why: str, tmp_path: Path
) -> None:
    args, model = net(name)
    weights, tensors = of_module(model), tensors_of(model)
    (axis,) = (a for a in find_axes(tensors, heads_of(model)) if a.name == unit)
    kept = {unit: torch.arange(axis.units) > 0}
    with torch.no_grad():
        for tensor, mask in masks_without({unit: axis}, kept, weights, None).items():
            weights[tensor].tensor.mul_(mask)
    with pytest.raises(ValueError, match=f"{why}: there is nothing to cut out.$"):
        cut_of(tmp_path, args, model, uniform)


def test_heads_that_the_settings_do_not_tell_are_not_guessed(tmp_path: Path) -> None:
    args, model = net("transformer")
    prune(model, 1, even=False, kinds=("ffn",))
    for name in ("encoder_attention_heads", "decoder_attention_heads"):
        delattr(args, name)
    with pytest.raises(ValueError, match=r"does not say how many heads its encoder has\.$"):
        cut_of(tmp_path, args, model)
