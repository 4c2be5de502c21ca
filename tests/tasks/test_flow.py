"""SynFlow on fairseq's own models and ours: flow is conserved, and no matrix is removed whole."""

from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq import checkpoint_utils
from torch import Tensor

from fairseq_prune.network.weights import of_module
from fairseq_prune.pruning.checks import checked
from fairseq_prune.pruning.pruner import Pruner
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.saliency import SALIENCIES, Probe
from fairseq_prune.tasks._flow import flow_of
from tests.conftest import Train
from tests.models.nets import LSTM, NETS, TRANSFORMER, build, settings, task

LAST = ("fc_out", "additional_fc", "output_projection")  # what the softmax over words is of


@pytest.fixture(params=["lstm", "transformer"])
def model(request: Any, train: Train, corpus: Path, tmp_path: Path) -> Any:
    train(tmp_path, "--max-update", 1, arch=request.param)
    (found,), _, _ = checkpoint_utils.load_model_ensemble_and_task(
        [str(tmp_path / "checkpoint_last.pt")], arg_overrides={"data": str(corpus)}
    )
    return found


def scores_of(model: Any) -> dict[str, Tensor]:
    probe = Probe(of_module(model), flow=flow_of(model))
    return {name: s.values for name, s in SALIENCIES["synflow"].score(probe).items()}


def test_flow_is_conserved_in_every_unit(model: Any) -> None:
    s = scores_of(model)
    blocks = [name.removesuffix("fc1.weight") for name in s if name.endswith(".fc1.weight")]
    for at in blocks:
        torch.testing.assert_close(s[at + "fc1.weight"].sum(1), s[at + "fc2.weight"].sum(0))
    for name in [name for name in s if name.endswith("attn.out_proj.weight")]:
        at = name.removesuffix("out_proj.weight")
        into = s[at + "q_proj.weight"] + s[at + "k_proj.weight"] + s[at + "v_proj.weight"]
        torch.testing.assert_close(into.sum(1), s[name].sum(0))
    if not blocks:
        # what attention puts out goes to the output layer, and into the next step
        out = s["decoder.attention.output_proj.weight"].sum(1)
        last = next(n for n in s if n in ("decoder.additional_fc.weight", "decoder.fc_out.weight"))
        fed = s["decoder.layers.0.weight_ih"][:, -len(out) :]
        torch.testing.assert_close(out, s[last].sum(0) + fed.sum(0))


def test_every_matrix_carries_flow(model: Any) -> None:
    assert all(float(values.sum()) > 0 for values in scores_of(model).values())


def test_the_softmax_and_the_tables_carry_the_same(corpus: Path) -> None:
    for name in ("lstm", "lstm, 2 layers", "transformer", "transformer, heads of 4 and of 8"):
        model = build(settings(NETS[name]))
        flow = flow_of(model)
        with torch.no_grad():
            total = flow.run(flow.model).sum()
        s = scores_of(model)
        softmax = next(s[f"decoder.{n}.weight"] for n in LAST if f"decoder.{n}.weight" in s)
        tables = sum(s[f"{side}.embed_tokens.weight"].sum() for side in ("encoder", "decoder"))
        torch.testing.assert_close(softmax.sum(), total)
        torch.testing.assert_close(tables, total)
        assert all(float(values.sum()) > float(total) / len(s) for values in s.values())


def test_one_input_has_the_papers_own_scores(model: Any) -> None:
    language = language_model(2)
    s, flow = scores_of(language), flow_of(language)
    assert not flow.gates and flow_of(model).gates
    total = flow.run(flow.model).sum()
    named = dict(flow.model.named_parameters())
    through = torch.autograd.grad(total, [named[name] for name in s])
    for (name, values), gradient in zip(s.items(), through, strict=True):
        torch.testing.assert_close(values, named[name].detach() * gradient, rtol=0, atol=0)
    torch.testing.assert_close(s["decoder.output_projection.weight"].sum(), total.detach())


@pytest.mark.parametrize("flags", [NETS["lightconv"], "--arch fconv_iwslt_de_en"])
def test_convolutions_are_refused(flags: str) -> None:
    with pytest.raises(ValueError, match="synflow does not know how to run a (Light|F)ConvModel"):
        flow_of(build(settings(flags)))


# ------------------------------------------------------------------- no matrix dies
def language_model(layers: int) -> Any:
    from fairseq.models.transformer_lm import (
        TransformerLanguageModel,
        TransformerLanguageModelConfig,
    )

    sizes = {"decoder_embed_dim": 16, "decoder_input_dim": 16, "decoder_output_dim": 16}
    config = TransformerLanguageModelConfig(
        **sizes, decoder_ffn_embed_dim=32, decoder_attention_heads=2, decoder_layers=layers
    )
    config.max_target_positions = 16
    words = task()
    words.dictionary = words.output_dictionary = words.source_dictionary
    return TransformerLanguageModel.build_model(config, words)


def removed_whole(model: Any, sparsity: float) -> list[str]:
    """The matrices of which nothing is left that is on a way from the inputs to the output."""
    weights = of_module(model)
    recipe = checked(Recipe(scheme="class-blind", saliency="synflow", sparsity=sparsity))
    masks = Pruner(recipe).update(sparsity, Probe(weights, flow=flow_of(model))).masks
    assert sum(int(m.sum()) for m in masks.values()) < (1 - sparsity) * 1.05 * sum(
        m.numel() for m in masks.values()
    )
    left = SALIENCIES["synflow"].score(Probe(weights, masks=masks, flow=flow_of(model)))
    return [name for name, score in left.items() if not bool((score.values > 0).any())]


DEEP = " --encoder-layers 6 --decoder-layers 6"
SEE = (
    "--arch see2016_lstm --encoder-embed-dim 16 --decoder-embed-dim 16 --encoder-hidden-size 16 "
    "--decoder-hidden-size 16"
)
SHRUNK = (
    TRANSFORMER.replace("transformer", "shrunk_transformer") + "--encoder-ffn-widths 4,12 "
    "--decoder-ffn-widths 9,5 --encoder-heads 1,3 --decoder-heads 2,4 --decoder-cross-heads 4,1 "
    "--head-dim 4"
)
FRESH = {
    **{
        name: flags
        for name, flags in NETS.items()
        if not name.startswith(("lightconv", "transformer, no"))
    },
    "lstm, 4 layers": LSTM + "--encoder-layers 4 --decoder-layers 4",
    "transformer, 6 layers": TRANSFORMER + DEEP,
    "transformer, 6 layers, shared": TRANSFORMER + "--share-all-embeddings" + DEEP,
    "transformer, 12 + 1 layers": TRANSFORMER + "--encoder-layers 12 --decoder-layers 1",
    "see2016_lstm, 4 layers": SEE,
    "see2016_lstm, no attention": SEE + " --decoder-attention False",
    "shrunk_transformer": SHRUNK,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FRESH)
def test_no_matrix_of_a_fresh_model_is_removed_whole(name: str) -> None:
    torch.manual_seed(1)
    assert removed_whole(build(settings(FRESH[name])), 0.8) == []


@pytest.mark.parametrize("layers", [2, 6])
def test_no_matrix_of_a_language_model_is_removed_whole(layers: int) -> None:
    torch.manual_seed(1)
    assert removed_whole(language_model(layers), 0.8) == []


def test_no_matrix_of_a_barely_trained_model_is_removed_whole(model: Any) -> None:
    assert removed_whole(model, 0.8) == []


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["lstm", "transformer"])
def test_no_matrix_of_a_trained_model_is_removed_whole(
    train: Train, corpus: Path, tmp_path: Path, arch: str
) -> None:
    train(tmp_path, "--max-epoch", 10, arch=arch)
    (found,), _, _ = checkpoint_utils.load_model_ensemble_and_task(
        [str(tmp_path / "checkpoint_best.pt")], arg_overrides={"data": str(corpus)}
    )
    for sparsity in (0.3, 0.5, 0.8, 0.9):
        assert removed_whole(found, sparsity) == []
