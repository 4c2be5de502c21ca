"""CTranslate2 computes what fairseq computes, and translates as fairseq translates."""

import random
import sys
from pathlib import Path
from typing import Any

import ctranslate2
import pytest
import torch

from fairseq_prune.checkpoints import storage
from fairseq_prune.checkpoints.storage import CheckpointError
from fairseq_prune.cli.main import main
from fairseq_prune.exports.ctranslate import QUANTIZATIONS, Written, convert
from fairseq_prune.exports.transformer import shape_of
from fairseq_prune.network.layers import leave_out_
from tests.conftest import ARCHES, TRAINING, train_here
from tests.exports import models
from tests.exports.models import FIRST, WORDS

KINDS: dict[str, dict[str, Any]] = {
    "post-norm": {},
    "pre-norm": {"encoder_normalize_before": True, "decoder_normalize_before": True},
    "pre-norm encoder only": {"encoder_normalize_before": True},
    "no final norm": {"decoder_normalize_before": True, "no_decoder_final_norm": True},
    "learned positions": {"encoder_learned_pos": True, "decoder_learned_pos": True},
    "no positions": {"no_token_positional_embeddings": True},
    "normed embeddings": {"no_scale_embedding": True, "layernorm_embedding": True},
    "gelu": {"activation_fn": "gelu"},
    "gelu_accurate": {"activation_fn": "gelu_accurate"},
    "tanh": {"activation_fn": "tanh"},
    "one embedding": {"share_all_embeddings": True},
    "odd widths": {"encoder_ffn_embed_dim": 13, "decoder_ffn_embed_dim": 7},
    "two widths of the model": {"encoder_embed_dim": 24, "decoder_embed_dim": 16},
    "two numbers of heads": {"encoder_attention_heads": 2, "decoder_attention_heads": 8},
    "two depths": {"encoder_layers": 3, "decoder_layers": 1},
    "narrow output": {"decoder_output_dim": 12},
}
SHRUNK = {"arch": "shrunk_transformer", "_name": "shrunk_transformer", "head_dim": 4}
# attention: by layer, the heads of 4 that go
HEADS = {
    "encoder.layers.{}.self_attn": {0: [1], 1: [3]},
    "decoder.layers.{}.self_attn": {0: [0, 2], 1: [1, 2]},
    "decoder.layers.{}.encoder_attn": {0: [0, 1], 1: [2, 3]},
}
UNITS = {"encoder.layers.0": [0, 3, 5], "encoder.layers.1": [7], "decoder.layers.1": [*range(19)]}


@pytest.fixture
def data(tmp_path: Path) -> str:
    return str(models.write_dictionaries(tmp_path / "data"))


def assert_same(model: Any, folder: str, within: float = 2e-5) -> None:
    """The exported model gives each token the probability that fairseq's gives it."""
    translator = ctranslate2.Translator(folder, compute_type="float32", intra_threads=1)
    draw = random.Random(1)
    for length in (1, 3, 7):
        source = [draw.randrange(len(WORDS)) for _ in range(length)]
        target = [draw.randrange(len(WORDS)) for _ in range(5)]
        (scored,) = translator.score_batch(
            [[WORDS[n] for n in source]], [[WORDS[n] for n in target]]
        )
        expected = models.log_probs(model, [n + FIRST for n in source], [n + FIRST for n in target])
        assert scored.log_probs == pytest.approx(expected, abs=within)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_transformer_gives_the_same_probabilities(
    kind: str, data: str, tmp_path: Path
) -> None:
    model, settings = models.build(**KINDS[kind])
    checkpoint = models.write(tmp_path / "model.pt", model.state_dict(), settings)
    convert(checkpoint, data, str(tmp_path / "out"))
    assert_same(model, str(tmp_path / "out"))


def test_an_old_checkpoint_and_one_of_hydra(data: str, tmp_path: Path) -> None:
    model, settings = models.build(encoder_normalize_before=True, encoder_attention_heads=2)
    settings.task, settings.source_lang, settings.target_lang = "translation", "de", "en"
    old = {"args": settings, "model": model.state_dict()}
    nested = {
        "_name": "transformer",
        "encoder": {"normalize_before": True, "attention_heads": 2},
        "decoder": {"normalize_before": False, "attention_heads": 4},
        "max_source_positions": 50,
    }
    torch.save(old, tmp_path / "old.pt")
    models.write(tmp_path / "hydra.pt", model.state_dict(), nested)
    for name in ("old", "hydra"):
        convert(str(tmp_path / f"{name}.pt"), data, str(tmp_path / name))
        assert_same(model, str(tmp_path / name))


def shrunk(tmp_path: Path, heads: dict[str, dict[int, list[int]]]) -> tuple[Any, str]:
    """A dense model with silent heads and units, and a checkpoint without those."""
    model, settings = models.build()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    for attention, gone in heads.items():
        models.without_heads(model, attention, gone, 4)
        models.cut_heads(state, attention, gone, 4)
    for layer, units in UNITS.items():
        models.without_units(model, layer, units)
        models.cut_units(state, layer, units)
    settings.__dict__.update(SHRUNK)
    return model, models.write(tmp_path / "shrunk.pt", state, settings)


def test_a_shrunk_model_computes_what_the_dense_one_does_without_its_heads_and_units(
    data: str, tmp_path: Path
) -> None:
    model, checkpoint = shrunk(tmp_path, HEADS)
    convert(checkpoint, data, str(tmp_path / "out"))
    assert_same(model, str(tmp_path / "out"))
    convert(checkpoint, data, str(tmp_path / "int8"), "int8")
    translator = ctranslate2.Translator(str(tmp_path / "int8"))
    assert translator.translate_batch([WORDS[:4]], beam_size=5, max_decoding_length=9)


def test_a_language_model_is_no_model_for_translation(tmp_path: Path) -> None:
    model = {"decoder.embed_tokens.weight": torch.ones(9, 4)}
    settings = {"model": {"_name": "transformer_lm"}, "task": {"_name": "language_modeling"}}
    with pytest.raises(ValueError) as caught:
        shape_of({"cfg": settings, "model": model}, "lm.pt")
    assert str(caught.value) == (
        "lm.pt (transformer_lm) has a decoder and no encoder, as language models have: what is "
        "written for CTranslate2 are models for translation; use it with fairseq-eval-lm."
    )


def test_heads_that_differ_within_a_stack_are_refused(data: str, tmp_path: Path) -> None:
    self_attention = "decoder.layers.{}.self_attn"
    _, checkpoint = shrunk(tmp_path, {self_attention: {0: [1], 1: [0, 3]}})
    with pytest.raises(ValueError) as caught:
        convert(checkpoint, data, str(tmp_path / "out"))
    assert str(caught.value) == (
        f"The decoder of {checkpoint} has, layer by layer, 3, 2 (self-attention) and 4, 4 "
        "(cross-attention) heads, and CTranslate2 takes one number, 1 or more, for all of the "
        "decoder: prune its heads with --prune-scheme class-uniform --prune-structure heads before "
        "shrink, or decode with fairseq."
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"activation_fn": "linear"}, "has the activation linear, which CTranslate2 has not"),
        ({"cross_self_attention": True}, "--cross-self-attention, which CTranslate2 has not"),
        ({"no_cross_attention": True}, "--no-cross-attention, which CTranslate2 has not"),
        (
            {"quant_noise_pq": 0.1, "encoder_ffn_embed_dim": 24, "decoder_ffn_embed_dim": 24},
            "has no place for the checkpoint's weight encoder.quant_noise.weight",
        ),
        ({"adaptive_softmax_cutoff": "8,16"}, "--adaptive-softmax-cutoff, which"),
    ],
)
def test_what_ctranslate2_cannot_compute_is_refused(
    options: dict[str, Any], why: str, data: str, tmp_path: Path
) -> None:
    model, settings = models.build(**options)
    checkpoint = models.write(tmp_path / "model.pt", model.state_dict(), settings)
    with pytest.raises(ValueError, match=why):
        convert(checkpoint, data, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_damaged_checkpoint(data: str, tmp_path: Path) -> None:
    model, settings = models.build()
    state = dict(model.state_dict())
    gone = state.pop("decoder.layers.1.encoder_attn.q_proj.weight")
    checkpoint = models.write(tmp_path / "model.pt", state, settings)
    with pytest.raises(ValueError, match="decoder.layers.1.encoder_attn.q_proj.weight: it is dam"):
        convert(checkpoint, data, str(tmp_path / "out"))
    state["decoder.layers.1.encoder_attn.q_proj.weight"] = gone
    settings.decoder_attention_heads = 5
    checkpoint = models.write(tmp_path / "model.pt", state, settings)
    with pytest.raises(ValueError, match="does not say how wide the heads of its decoder are"):
        convert(checkpoint, data, str(tmp_path / "out"))
    del state["encoder.layers.0.fc2.bias"]
    settings.decoder_attention_heads = 4
    checkpoint = models.write(tmp_path / "model.pt", state, settings)
    with pytest.raises(ValueError, match="has no weight encoder.layers.0.fc2.bias"):
        convert(checkpoint, data, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_every_quantization_loads_and_translates(
    quantization: str, data: str, tmp_path: Path
) -> None:
    model, settings = models.build()
    checkpoint = models.write(tmp_path / "model.pt", model.state_dict(), settings)
    convert(checkpoint, data, str(tmp_path / "out"), quantization)
    translator = ctranslate2.Translator(str(tmp_path / "out"))
    (found,) = translator.translate_batch([WORDS[:5]], beam_size=5, max_decoding_length=9)
    assert found.hypotheses[0]


def test_a_matrix_of_zeros(data: str, tmp_path: Path) -> None:
    model, settings = models.build()
    with torch.no_grad():
        model.encoder.layers[0].fc1.weight.zero_()
    model.load_state_dict(model.state_dict())
    checkpoint = models.write(tmp_path / "model.pt", model.state_dict(), settings)
    with pytest.raises(ValueError, match=r"^--quantization int16 cannot hold encoder.layers.0.fc1"):
        convert(checkpoint, data, str(tmp_path / "out"), "int16")
    convert(checkpoint, data, str(tmp_path / "float32"))
    assert_same(model, str(tmp_path / "float32"))
    convert(checkpoint, data, str(tmp_path / "int8"), "int8")
    assert_same(model, str(tmp_path / "int8"), within=1.5)  # weights this small have few levels


def test_a_file_that_could_run_code_is_refused(data: str, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"model": {}, "args": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(CheckpointError):
        convert(str(tmp_path / "evil.pt"), data, str(tmp_path / "out"))
    assert not (tmp_path / "ran").exists()


def test_without_ctranslate2_one_sentence_says_what_to_install(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [n for n in sys.modules if n.partition(".")[0] == "ctranslate2"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "fairseq_prune.exports.ctranslate_spec", raising=False)
    import fairseq_prune.exports as room

    monkeypatch.delattr(room, "ctranslate_spec", raising=False)
    with pytest.raises(ValueError) as caught:
        convert("no.pt", data, str(tmp_path / "out"))
    assert str(caught.value) == (
        "--format ctranslate2 needs ctranslate2, which is not installed: pip install ctranslate2."
    )


# trained models: fairseq's own search against CTranslate2's


LONGEST = 40  # tokens of a translation
SUBSETS = ("train", "valid", "test")
LEARN = (
    *("--max-update", 150, "--lr", 0.005, "--weight-decay", 0, "--dropout", 0),
    *("--disable-validation", "--save-interval", 1000),
)


@pytest.fixture(scope="module")
def trained(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Transformer that has learnt enough not to say the same for every sentence."""
    folder = tmp_path_factory.mktemp("trained")
    train_here([corpus, *ARCHES["transformer"], *TRAINING, "--save-dir", folder, *LEARN])
    return folder / "checkpoint_last.pt"


@pytest.fixture(scope="module")
def pruned(trained: Path) -> Path:
    """The same, 30% of it pruned: with more, sentences run on until they are cut."""
    from fairseq_prune.cli.main import main

    output = trained.parent / "pruned.pt"
    flags = ["--prune-scheme", "class-uniform", "--prune-sparsity", "0.3"]
    assert main(["apply", str(trained), "--output", str(output), *flags]) == 0
    return output


def by_fairseq(checkpoint: Path, corpus: Path) -> list[str]:
    from fairseq_prune.evaluation.decode import Decoder
    from fairseq_prune.evaluation.settings import Settings

    decoder = Decoder(Settings(data=str(corpus), max_len_b=LONGEST, cpu=True))
    decoder.open(str(checkpoint))
    # all sentences that there are: the test set alone is too small to tell 99%
    return [one for name in SUBSETS for one in decoder.translate(name).hypotheses]


def by_ctranslate2(written: Written, corpus: Path) -> list[str]:
    sources = []
    for subset in SUBSETS:
        text = (corpus.parent / f"{subset}.de").read_text(encoding="utf-8")
        sources += [line.split() for line in text.splitlines()]
    translator = ctranslate2.Translator(written.output, intra_threads=1)
    found = translator.translate_batch(sources, beam_size=5, max_decoding_length=LONGEST)
    return [" ".join(one.hypotheses[0]) for one in found]


@pytest.mark.parametrize("which", ["trained", "pruned"])
def test_sentences_are_translated_as_by_fairseq(
    which: str, corpus: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    checkpoint = request.getfixturevalue(which)
    written = convert(str(checkpoint), str(corpus), str(tmp_path / "out"))
    expected, found = by_fairseq(checkpoint, corpus), by_ctranslate2(written, corpus)
    assert len(set(expected)) > 100
    # one that runs on until it is cut ends in fairseq with a forced </s>, in CTranslate2 without
    pairs = zip(expected, found, strict=True)
    whole = [pair for pair in pairs if all(len(text.split()) < LONGEST for text in pair)]
    assert len(whole) >= 0.95 * len(expected)
    assert sum(one == other for one, other in whole) >= 0.99 * len(whole)


def test_int8_is_smaller_and_translates(pruned: Path, corpus: Path, tmp_path: Path) -> None:
    full = convert(str(pruned), str(corpus), str(tmp_path / "float32"))
    small = convert(str(pruned), str(corpus), str(tmp_path / "int8"), "int8")
    assert (tmp_path / "int8/model.bin").stat().st_size < (
        tmp_path / "float32/model.bin"
    ).stat().st_size
    found, like = by_ctranslate2(small, corpus), by_ctranslate2(full, corpus)
    assert sum(a == b for a, b in zip(found, like, strict=True)) > 0.7 * len(like)


@pytest.mark.parametrize("structure", ["layers", "ffn+heads+layers"])
def test_layers_that_are_gone_are_not_in_the_folder(
    structure: str, data: str, tmp_path: Path
) -> None:
    model, settings = models.build(encoder_layers=4, decoder_layers=3)
    checkpoint = models.write(tmp_path / "dense.pt", model.state_dict(), settings)
    pruned, small = str(tmp_path / "pruned.pt"), str(tmp_path / "small.pt")
    flags = f"--prune-scheme class-uniform --prune-structure {structure} --prune-sparsity 0.5"
    assert main(["apply", checkpoint, "--output", pruned, *flags.split()]) == 0
    assert main(["shrink", pruned, "--output", small]) == 0
    content = storage.load(pruned)
    model.load_state_dict(content["model"])
    masks = storage.masks_of(content, pruned)
    assert masks is not None
    leave_out_(model, masks.out)
    for path in (pruned, small):
        convert(path, data, f"{path}-out")
        assert_same(model, f"{path}-out")
