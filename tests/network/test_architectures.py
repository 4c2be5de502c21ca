"""fairseq's architectures: every matrix has a class of the paper or is left out for a reason."""

import re
from types import SimpleNamespace
from typing import Any

import pytest

from fairseq_prune.network.classes import paper_class
from fairseq_prune.network.weights import of_module, of_state_dict

NAMES = ("lstm", "transformer", "fconv", "lightconv", "lstm_luong_wmt_en_de")
SMALL = {
    "lstm": "--encoder-hidden-size 8 --encoder-layers 2 --decoder-hidden-size 8 --decoder-layers 2",
    "transformer": "--encoder-attention-heads 2 --decoder-attention-heads 2",
    "fconv": "--encoder-layers [(8,3)]*2 --decoder-layers [(8,3)]*2 --decoder-attention True",
    "lightconv": "--encoder-attention-heads 2 --decoder-attention-heads 2 --encoder-layers 2 "
    "--encoder-kernel-size-list [3,3] --decoder-layers 2 --decoder-kernel-size-list [3,3]",
}
LEFT_OUT = re.compile(
    r"embed_positions|\.(fc1|fc2|in_proj|out_proj)_weight$|weight_g$|\.conv\.weight$"
)


def build(name: str) -> Any:
    from fairseq import options
    from fairseq.data import Dictionary
    from fairseq.models import ARCH_MODEL_REGISTRY

    words = Dictionary()
    for word in "abcdefgh":
        words.add_symbol(word)
    small = ["--encoder-embed-dim", "8", "--decoder-embed-dim", "8", *SMALL.get(name, "").split()]
    args = options.parse_args_and_arch(
        options.get_training_parser(),
        ["data", "--arch", name, "--criterion", "cross_entropy", *small],
    )
    args.max_source_positions = args.max_target_positions = 16
    task = SimpleNamespace(source_dictionary=words, target_dictionary=words)
    return ARCH_MODEL_REGISTRY[name].build_model(args, task)


@pytest.mark.parametrize("name", NAMES)
def test_every_matrix_is_classed_or_left_out_for_a_reason(name: str) -> None:
    model = build(name)
    weights = of_module(model)
    aliases = {alias for w in weights.values() for alias in w.aliases}
    for path, parameter in model.named_parameters(remove_duplicate=False):
        if parameter.dim() >= 2:
            assert (path in aliases) != bool(LEFT_OUT.search(path)), path


@pytest.mark.parametrize("name", ["lstm", "transformer", "fconv", "lightconv"])
def test_layers_and_tables_get_the_paper_classes(name: str) -> None:
    labels = {w.weight_class for w in of_module(build(name)).values()}
    assert {"source-embedding", "target-embedding"} <= labels or "shared-embedding" in labels
    assert any(label.startswith("source-layer-1") for label in labels)
    assert any(label.startswith("target-layer-2") for label in labels)


@pytest.mark.parametrize("name", ["lstm", "transformer", "fconv", "lightconv"])
def test_the_checkpoint_and_the_module_agree(name: str) -> None:
    model = build(name)
    shown = lambda found: [(w.name, w.weight_class, w.fixed, w.prunable) for w in found.values()]  # noqa: E731
    assert shown(of_state_dict(model.state_dict())) == shown(of_module(model))


def test_names_of_the_wmt_model_of_see_give_twelve_classes() -> None:
    sizes = {}
    for layer in range(4):
        for part, width in (("ih", 1000), ("hh", 1000)):
            sizes[f"encoder.lstm.weight_{part}_l{layer}"] = 4000 * width
            sizes[f"decoder.layers.{layer}.weight_{part}"] = 4000 * width
    sizes |= {
        "decoder.attention.output_proj.weight": 2_000_000,
        "encoder.embed_tokens.weight": 50_000_000,
        "decoder.embed_tokens.weight": 50_000_000,
        "decoder.fc_out.weight": 50_000_000,
    }
    classes: dict[str, int] = {}
    for name, size in sizes.items():
        classes[paper_class(name)] = classes.get(paper_class(name), 0) + size
    assert sorted(classes.values()) == [2_000_000, *[8_000_000] * 8, *[50_000_000] * 3]
    assert sum(classes.values()) == 216_000_000
