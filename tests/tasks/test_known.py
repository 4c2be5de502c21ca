"""SynFlow runs what it knows: each architecture of fairseq conserves flow, or is refused."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fairseq_prune
from fairseq_prune.network.weights import of_module
from fairseq_prune.saliency import SALIENCIES, Probe
from fairseq_prune.tasks._flow import KNOWN, flow_of, name_of
from tests.models.nets import NETS, TRANSFORMER, build, settings, task

fairseq_prune.register()

from fairseq import options  # noqa: E402
from fairseq.models import ARCH_MODEL_REGISTRY  # noqa: E402

LAYERS = ("encoder_layers", "decoder_layers", "encoder_attention_heads", "decoder_attention_heads")
WIDTHS = [
    f"{side}_{part}"
    for side in ("encoder", "decoder")
    for part in ("embed_dim", "input_dim", "output_dim", "out_embed_dim", "hidden_size")
]
SMALL = {
    **dict.fromkeys(LAYERS, 2), **dict.fromkeys(WIDTHS, 8),
    "encoder_ffn_embed_dim": 16, "decoder_ffn_embed_dim": 16, "max_positions": 16,
    "tokens_per_sample": 16, "adaptive_softmax_cutoff": "8,12", "adaptive_input_cutoff": "8,12",
    "adaptive_input_factor": 1, "adaptive_softmax_factor": 1,
}  # fmt: skip
# these need settings of their own, and are tested with them elsewhere
ELSEWHERE = {
    "embedding_bag": "tests/models/test_embedding_bag.py",
    "shrunk_transformer": "tests/models/test_shrinking.py",
    "transformer_bert_fused": "tests/models/test_bert_fused.py",
    "transformer_bert_fused_iwslt_de_en": "tests/models/test_bert_fused.py",
    "transformer_lm": "tests/tasks/test_flow.py",
}
# their tables, or their softmax, are made of parts by frequency
REFUSED = ("transformer_lm_baevski_wiki103", "transformer_lm_wiki103")
RUN = [a for a, c in ARCH_MODEL_REGISTRY.items() if name_of(c) in KNOWN and a not in ELSEWHERE]


def small(arch: str) -> Any:
    """A model of this architecture, small as it may be."""
    from fairseq.tasks.multilingual_translation import MultilingualTranslationTask

    words = ["data", "--criterion", "cross_entropy", "--arch", arch]
    args = options.parse_args_and_arch(options.get_training_parser(), words)
    for name, value in SMALL.items():
        if getattr(args, name, None) is not None:
            setattr(args, name, value)
    args._name, args.max_source_positions, args.max_target_positions = arch, 16, 16
    built_for = task()
    built_for.max_positions = lambda: 16
    built_for.dictionary = built_for.output_dictionary = built_for.source_dictionary
    if arch.startswith("multilingual"):
        built_for = MultilingualTranslationTask.__new__(MultilingualTranslationTask)
        built_for.dicts = dict.fromkeys(("de", "en"), task().source_dictionary)
        args.lang_pairs = built_for.model_lang_pairs = ["de-en", "en-de"]
        built_for.langs = ["de", "en"]
    torch.manual_seed(0)
    return ARCH_MODEL_REGISTRY[arch].build_model(args, built_for)


def scored(model: Any) -> tuple[dict[str, Tensor], float]:
    """SynFlow's scores, and all that flows."""
    flow = flow_of(model)
    with torch.no_grad():
        total = float(flow.run(flow.model).sum())
    scores = SALIENCIES["synflow"].score(Probe(of_module(model), flow=flow))
    return {name: s.values for name, s in scores.items()}, total


def first_and_last(model: Any, scores: dict[str, Tensor]) -> float:
    """What flows through the tables of words and through the layers before the softmax, in all."""
    names = ("embed_tokens.weight", "output_projection.weight", "fc_out.weight")
    assert any(name.endswith(names) for name in scores)
    return sum(float(v.sum()) for n, v in scores.items() if n.endswith(names))


@pytest.mark.parametrize("arch", RUN)
def test_an_architecture_conserves_flow_or_is_refused(arch: str) -> None:
    model = small(arch)
    if arch in REFUSED:
        with pytest.raises(ValueError, match=r"an? Adaptive(Input|Softmax), is in one"):
            flow_of(model)
        return
    scores, total = scored(model)
    # theorem 1: every cut carries the whole
    assert first_and_last(model, scores) == pytest.approx(2 * total)
    assert all(float(values.sum()) > 0 for values in scores.values())
    for first in [name for name in scores if name.endswith(".fc1.weight")]:
        second = first.removesuffix("fc1.weight") + "fc2.weight"
        torch.testing.assert_close(scores[first].sum(1), scores[second].sum(0))
    for out in [name for name in scores if name.endswith("attn.out_proj.weight")]:
        at = out.removesuffix("out_proj.weight")
        into = sum(scores[f"{at}{part}_proj.weight"].sum(1) for part in "qkv")
        torch.testing.assert_close(into, scores[out].sum(0))


def test_no_other_architecture_is_run() -> None:
    """Two thirds of fairseq's are not known; none of them is run by chance."""
    unknown = [a for a, c in ARCH_MODEL_REGISTRY.items() if name_of(c) not in KNOWN]
    assert {"fconv", "lightconv", "cmlm_transformer", "s2t_transformer"} <= set(unknown)
    assert {*unknown, *RUN, *ELSEWHERE} == set(ARCH_MODEL_REGISTRY)


@pytest.mark.parametrize("kind", ["bart", "roberta"])
def test_a_classifier_conserves_what_its_head_puts_out(kind: str) -> None:
    model = small(f"{kind}_base")
    model.register_classification_head("sentence", num_classes=3, inner_dim=8)
    flow = flow_of(model)
    with torch.no_grad():
        total = flow.run(flow.model).sum()
    found = SALIENCIES["synflow"].score(Probe({
        name: weight for name, weight in of_module(model).items() if "lm_head" not in name
    }, flow=flow))  # fmt: skip
    head = [v.values for n, v in found.items() if "classification_heads" in n]
    assert len(head) == 2
    for values in head:
        torch.testing.assert_close(values.sum(), total)
    torch.testing.assert_close(head[0].sum(1), head[1].sum(0))


class Mine(nn.Linear):
    """Computes what it likes."""


def test_what_is_within_a_known_model_must_be_known_too() -> None:
    model = build(settings(TRANSFORMER))
    model.decoder.output_projection = Mine(16, 20)
    sentence = "what decoder.output_projection, a Mine, is in one; choose another saliency"
    with pytest.raises(ValueError, match=sentence):
        flow_of(model)
    scaled = build(settings(NETS["transformer"]))
    scaled.decoder.layers[0].c_attn = nn.Parameter(torch.ones(4))  # --scale-heads
    with pytest.raises(ValueError, match=r"what decoder\.layers\.0\.c_attn is in one"):
        flow_of(scaled)


def test_a_model_of_another_plugin_is_not_guessed_at() -> None:
    model = build(settings(TRANSFORMER))
    model.__class__ = type("MyTransformer", (type(model),), {"forward": lambda self, **_: None})
    with pytest.raises(ValueError, match="does not know how to run a MyTransformer"):
        flow_of(model)
    with pytest.raises(ValueError, match="does not know how to run a SimpleModel"):
        flow_of(type("SimpleModel", (nn.Module,), {})())


def test_the_names_of_the_list_are_names_of_classes() -> None:
    import importlib

    for name in KNOWN:
        module, _, kind = name.rpartition(".")
        assert isinstance(getattr(importlib.import_module(module), kind), type), name
