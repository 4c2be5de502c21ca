"""Weight classes of names as fairseq writes them."""

from pathlib import Path

import pytest

from fairseq_prune.network.classes import classify, paper_class, read_rules

PAPER = {
    "encoder.embed_tokens.weight": "source-embedding",
    "decoder.embed_tokens.weight": "target-embedding",
    "encoder.lstm.weight_ih_l0": "source-layer-1",
    "encoder.lstm.weight_hh_l3_reverse": "source-layer-4",
    "decoder.layers.0.weight_hh": "target-layer-1",
    "decoder.attention.input_proj.weight": "attention",
    "decoder.fc_out.weight": "softmax",
    "decoder.encoder_hidden_proj.weight": "decoder.encoder_hidden_proj",
    "encoder.layers.1.self_attn.q_proj.weight": "source-layer-2.self-attention",
    "encoder.layers.1.fc1.weight": "source-layer-2.ffn",
    "decoder.layers.0.encoder_attn.out_proj.weight": "target-layer-1.cross-attention",
    "decoder.output_projection.weight": "softmax",
    "encoder.sentence_encoder.layers.0.fc2.weight": "source-layer-1.ffn",
    "encoder.convolutions.2.weight_v": "source-layer-3.conv",
    "decoder.attention.1.in_projection.weight_v": "target-layer-2.cross-attention",
    "decoder.layers.0.linear1.weight": "target-layer-1.conv",
    "my.own.thing.weight": "my.own.thing",
}


@pytest.mark.parametrize("name", PAPER)
def test_a_name_has_the_class_of_the_paper(name: str) -> None:
    assert paper_class(name) == PAPER[name]


def test_granularities_merge_parts_or_layers() -> None:
    names = {
        n: (n,) for n in ("encoder.layers.0.fc1.weight", "encoder.layers.1.self_attn.q_proj.weight")
    }
    assert list(classify(names, "layer").values()) == ["source-layer-1", "source-layer-2"]
    assert list(classify(names, "component").values()) == [
        "source-layers.ffn",
        "source-layers.self-attention",
    ]
    assert list(classify(names, "tensor").values()) == list(names)


def test_a_table_tied_on_both_sides_is_a_shared_embedding() -> None:
    tied = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "decoder.fc_out.weight")
    assert classify({tied[0]: tied}) == {tied[0]: "shared-embedding"}
    assert classify({tied[1]: tied[1:]}) == {tied[1]: "target-embedding"}


def test_own_rules_win_and_the_rest_keeps_its_class(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.write_text("# LSTM gates together\nrecurrent weight_hh\n\n")
    names = {n: (n,) for n in ("encoder.lstm.weight_hh_l0", "encoder.lstm.weight_ih_l0")}
    assert list(classify(names, str(rules)).values()) == ["recurrent", "source-layer-1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "lonely\n",
            "rules line 1: 'lonely' is not `CLASS REGEX` (no pattern after the class name).",
        ),
        ("a (\n", "rules line 1: 'a (' is not `CLASS REGEX`"),
        ("# nothing\n", "rules holds no rule: write one `CLASS REGEX` a line."),
    ],
)
def test_a_bad_rule_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "rules"
    path.write_text(text)
    with pytest.raises(ValueError) as refusal:
        read_rules(path)
    assert message in str(refusal.value)


def test_an_unknown_granularity_names_the_known() -> None:
    with pytest.raises(ValueError, match="neither one of paper, layer, component, tensor nor"):
        classify({"a": ("a",)}, "papre")


PAIRS = ("models.de-en.", "models.fr-en.")


def test_a_prefix_changes_no_class() -> None:
    for prefix in ("", "module.", "models.de-en.", "w2v_model."):
        for layers in ("layers", "transformer_layers"):
            name = f"{prefix}encoder.{layers}.0.self_attn.q_proj.weight"
            assert classify({name: [name]}) == {name: "source-layer-1.self-attention"}


def test_each_language_pair_has_classes_and_what_they_share_has_one() -> None:
    shared = [f"{pair}encoder.layers.0.fc1.weight" for pair in PAIRS]
    own = [f"{pair}decoder.layers.1.fc2.weight" for pair in PAIRS]
    names = {shared[0]: shared, **{name: [name] for name in own}}
    assert list(classify(names).values()) == [
        "source-layer-1.ffn", "de-en/target-layer-2.ffn", "fr-en/target-layer-2.ffn",
    ]  # fmt: skip
    assert list(classify(names, "layer").values())[1:] == [
        "de-en/target-layer-2", "fr-en/target-layer-2",
    ]  # fmt: skip
    assert list(classify(names, "component").values())[:2] == [
        "source-layers.ffn", "de-en/target-layers.ffn",
    ]  # fmt: skip


def test_what_some_pairs_share_is_theirs() -> None:
    three = [f"models.{pair}.encoder.layers.0.fc1.weight" for pair in ("de-en", "de-fr", "en-de")]
    names = {three[0]: three[:2], three[2]: three[2:]}
    assert list(classify(names).values()) == [
        "de-en+de-fr/source-layer-1.ffn", "en-de/source-layer-1.ffn",
    ]  # fmt: skip
