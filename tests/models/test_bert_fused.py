"""BERT-fused models: what they compute, which weights they have, what they refuse."""

import copy
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from fairseq_prune.network.weights import of_module, of_state_dict
from fairseq_prune.pruning.checks import checked
from tests.models.bert import NEEDS_TRANSFORMERS, WIDTH, batch, build, flags, save_bert, task

pytestmark = NEEDS_TRANSFORMERS
SENTENCES = ("ab ba ca", "la ka", "", "da ea fa ga ha")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bert(tmp_path_factory.mktemp("bert") / "model")


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return build(folder)


def logits(model: Any, *sentences: str, **more: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(**batch(*sentences), **more)[0]
    return found


# ------------------------------------------------------------------- what is computed
def test_a_batch_gives_what_each_sentence_gives_alone(model: Any) -> None:
    together = logits(model, *SENTENCES)
    for row, sentence in enumerate(SENTENCES):
        torch.testing.assert_close(logits(model, sentence)[0], together[row], atol=1e-5, rtol=0)


def test_the_output_depends_on_what_bert_reads(model: Any, folder: Path) -> None:
    other = save_bert(folder.parent / "other", seed=2)
    changed = build(other)
    changed.load_state_dict(model.state_dict())
    assert (logits(changed, "ab ba") - logits(model, "ab ba")).abs().max() > 1e-3


def test_an_attention_gives_half_of_both(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from fairseq.modules import MultiheadAttention

    from fairseq_prune.models.bert_fused.attention import BertMask

    fused = model.decoder.layers[0].encoder_attn
    plain = copy.deepcopy(fused)
    plain.__class__ = MultiheadAttention
    query, key, bert = torch.randn(3, 2, 16), torch.randn(5, 2, 16), torch.randn(4, 2, WIDTH)
    padding = torch.tensor([[False] * 5, [True, True, False, False, False]])
    own, weights = plain(query, key, key, padding)
    other, _ = fused.bert_attn(query, bert, bert)
    found, told = fused(query, key, key, BertMask(padding, bert, None))
    torch.testing.assert_close(found, (own + other) / 2)
    torch.testing.assert_close(told, weights)
    mask = BertMask(padding, bert, None)
    for share, expected in ((0.0, own), (1.0, other)):
        monkeypatch.setattr(fused, "share", lambda share=share: share)
        torch.testing.assert_close(fused(query, key, key, mask)[0], expected)


@pytest.mark.parametrize("dropnet", [0.0, 0.4, 1.0])
def test_the_drop_net_takes_each_case_as_often_as_the_paper_says(dropnet: float) -> None:
    from fairseq_prune.models.bert_fused.attention import FusedAttention

    attention = FusedAttention(8, 2).train()
    attention.dropnet = dropnet
    torch.manual_seed(3)
    drawn = [attention.share() for _ in range(4000)]
    for case, chance in ((0.0, dropnet / 2), (1.0, dropnet / 2), (0.5, 1 - dropnet)):
        assert drawn.count(case) / len(drawn) == pytest.approx(chance, abs=0.03)
    assert {attention.eval().share() for _ in range(100)} == {0.5}


@pytest.mark.parametrize("layer", [1, 2, -2])
def test_the_output_layer_is_the_one_asked_for(folder: Path, layer: int) -> None:
    from transformers import AutoModel

    fused = build(folder, f"--bert-output-layer={layer}")
    pieces = torch.tensor([[2, 5, 6, 3]])
    whole = AutoModel.from_pretrained(str(folder)).eval()
    expected = whole(pieces, output_hidden_states=True).hidden_states[layer]
    torch.testing.assert_close(fused.encoder.bert(pieces)[0].transpose(0, 1), expected)


@pytest.mark.parametrize("beam", [1, 5])
def test_beam_search_scores_are_those_of_the_whole_sentence(model: Any, beam: int) -> None:
    """Cached keys and re-ordered beams: each hypothesis scored at once has the same scores."""
    from fairseq.sequence_generator import SequenceGenerator

    words = task().target_dictionary
    given = batch(*SENTENCES)
    target = given.pop("prev_output_tokens")
    generator = SequenceGenerator([model], words, beam_size=beam, max_len_b=6)
    found = generator.generate([model], {"net_input": given})
    for row, sentence in enumerate(SENTENCES):
        for hypothesis in found[row]:
            tokens = hypothesis["tokens"]
            alone = batch(sentence)
            alone["prev_output_tokens"] = torch.cat([target.new_tensor([2]), tokens[:-1]])[None]
            with torch.no_grad():
                scores = model(**alone)[0].log_softmax(-1)[0].gather(1, tokens[:, None])[:, 0]
            torch.testing.assert_close(hypothesis["positional_scores"], scores, atol=1e-5, rtol=0)


# ------------------------------------------------------------------- what BERT reads
def test_a_data_set_carries_what_the_model_would_read_itself(model: Any, folder: Path) -> None:
    """Batches are sorted by length there; inputs that were made beside them change nothing."""
    from fairseq.data import LanguagePairDataset

    from fairseq_prune.tasks._bert_input import Readers

    words = task().source_dictionary
    rows = [words.encode_line(line, add_if_not_exist=False).long() for line in SENTENCES]
    lengths = [len(row) for row in rows]
    dataset = LanguagePairDataset(rows, lengths, words, rows, lengths, words)
    plain = dataset.collater([dataset[i] for i in range(4)])
    readers = Readers()
    readers.add(model)
    readers.attach(dataset)
    made = dataset.collater([dataset[i] for i in range(4)])
    assert made["id"].tolist() == [3, 0, 1, 2]
    expected = [model.encoder.reader(batch(SENTENCES[i])["src_tokens"])[0] for i in (3, 0, 1, 2)]
    for found, alone in zip(made["net_input"]["bert_input"], expected, strict=True):
        assert found[found >= 0].tolist() == alone.tolist()
    with torch.no_grad():
        ours, own = (model(**sample["net_input"])[0] for sample in (made, plain))
    torch.testing.assert_close(ours, own, atol=0, rtol=0)
    assert dataset.collater([]) == {}


def test_models_that_read_differently_are_given_nothing(model: Any, folder: Path) -> None:
    from types import SimpleNamespace

    from fairseq_prune.tasks._bert_input import Readers

    for other in (build(folder, "--bert-text", "sentencepiece"), torch.nn.Linear(1, 1)):
        readers = Readers()
        readers.add(model)
        readers.add(other)
        dataset = SimpleNamespace(collater=len)
        readers.attach(dataset)
        assert dataset.collater is len


@pytest.mark.parametrize(
    ("how", "tokens", "text"),
    [
        ("none", "ab ba", "ab ba"),
        ("none", "ab new", "ab [UNK]"),
        ("sentencepiece", "▁ab ba ▁ca", "abba ca"),
        ("subword_nmt", "ab@@ ba ca", "abba ca"),
        ("none+moses", "ab , ba &apos;s", "ab, ba's"),
        ("none", "", ""),
    ],
)
def test_tokens_become_text(folder: Path, how: str, tokens: str, text: str) -> None:
    from fairseq.data import Dictionary
    from transformers import AutoTokenizer

    from fairseq_prune.models.bert_fused.text import BertReader, text_settings

    words = Dictionary()
    for word in "ab ba ca ▁ab ▁ca ab@@ , &apos;s".split():
        words.add_symbol(word)
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    reader = BertReader(words, tokenizer, text_settings("x", how, "en"), 20)
    ids = words.encode_line(tokens, add_if_not_exist=False).tolist()
    assert reader.text([words.pad(), *ids]) == text


def test_long_sentences_are_cut_and_counted(tmp_path: Path, caplog: Any) -> None:
    model = build(save_bert(tmp_path, positions=8))
    with caplog.at_level("WARNING", "fairseq_prune"):
        found = model.encoder.reader(batch("ab ba", "ab ba ca da ea", "ab ba ca da")["src_tokens"])
    assert found.shape == (3, 8)
    assert found[1:, -1].tolist() == [3, 3]  # it ends as every sentence does
    assert (found[0] < 0).tolist() == [False] * 6 + [True] * 2
    assert model.encoder.reader.cut == 2
    assert [r.getMessage() for r in caplog.records] == [
        "BERT takes 8 pieces of a sentence at most: 1 so far were cut"
    ]


# ------------------------------------------------------------------- which weights there are
@pytest.mark.parametrize("more", [(), ("--prune-bert",)], ids=["frozen", "part of the model"])
def test_every_matrix_has_a_class_in_model_and_checkpoint(folder: Path, more: Any) -> None:
    model = build(folder, *more)
    weights = of_module(model)
    classes = {w.weight_class for w in weights.values()}
    for k in (1, 2):
        assert {f"source-layer-{k}.bert-attention", f"target-layer-{k}.bert-attention"} <= classes
    parts = {f"bert-layer-{k}.{part}" for k in (1, 2) for part in ("self-attention", "ffn")}
    ours = {"bert-embedding", *parts}
    assert {name for name in classes if name.startswith("bert-")} == (ours if more else set())
    assert all("." not in name.partition(".")[2] for name in classes)
    shown = [
        [(w.name, w.weight_class, w.fixed, w.prunable) for w in found.values()]
        for found in (weights, of_state_dict(model.state_dict()))
    ]
    assert shown[0] == shown[1]
    left_out = {n for n, p in model.named_parameters() if p.dim() > 1} - set(weights)
    kinds = ("_weight", "embeddings.weight")
    assert all(name.endswith(kinds) for name in left_out)


def test_a_frozen_bert_is_no_part_of_the_model_but_moves_with_it(folder: Path) -> None:
    model = build(folder).train()
    bert = model.encoder.bert.network
    inside = {id(p) for p in bert.parameters()}
    assert inside.isdisjoint(map(id, model.parameters()))
    assert not any(name.startswith("encoder.bert") for name in model.state_dict())
    assert not bert.training
    for move, dtype in ((model.half, torch.float16), (model.double, torch.float64)):
        assert {p.dtype for p in move().encoder.bert.network.parameters()} == {dtype}
        assert model(**batch("ab ba"))[0].dtype == dtype
    loss = model(**batch("ab ba"))[0].sum()
    loss.backward()
    assert all(p.grad is None for p in bert.parameters())
    averaged = copy.deepcopy(model)
    assert averaged.encoder.bert.network is not bert
    assert averaged.encoder.reader is model.encoder.reader


def test_a_bert_that_is_part_of_the_model_is_trained(folder: Path) -> None:
    model = build(folder, "--prune-bert").train()
    model(**batch("ab ba"))[0].sum().backward()
    for name, parameter in model.encoder.bert.network.named_parameters():
        assert parameter.grad is not None, name


def test_flow_is_conserved_in_both_attentions(model: Any, folder: Path) -> None:
    from fairseq_prune.pruning.pruner import Pruner
    from fairseq_prune.pruning.recipe import Recipe
    from fairseq_prune.saliency import SALIENCIES, Probe
    from fairseq_prune.tasks._flow import flow_of

    probe = Probe(of_module(model), flow=flow_of(model))
    s = {name: x.values for name, x in SALIENCIES["synflow"].score(probe).items()}
    for name in [name for name in s if name.endswith("attn.out_proj.weight")]:
        at = name.removesuffix("out_proj.weight")
        into = sum(s[f"{at}{part}_proj.weight"].sum(1) for part in "qkv")
        torch.testing.assert_close(into, s[name].sum(0))
    assert all(float(values.sum()) > 0 for values in s.values())
    recipe = checked(Recipe(scheme="class-blind", saliency="synflow", sparsity=0.8))
    masks = Pruner(recipe).update(0.8, probe).masks
    left = SALIENCIES["synflow"].score(replace(probe, masks=masks))
    assert all(bool((score.values > 0).any()) for score in left.values())
    with pytest.raises(ValueError, match="BertFusedModel with --prune-bert; choose another"):
        flow_of(build(folder, "--prune-bert"))


# ------------------------------------------------------------------- a warm start
def plain_checkpoint(path: Path, *more: str) -> tuple[Any, str]:
    from fairseq import models

    from tests.models.nets import checkpoint, settings

    words = [str(word) for word in flags(path)[2:-2]]  # without architecture and BERT
    args = settings(" ".join(["--arch", "transformer", *words, *more]))
    torch.manual_seed(7)
    model = models.build_model(copy.copy(args), task()).eval()
    torch.save(checkpoint(args, model), path)
    return model, str(path)


def test_a_warm_start_is_the_plain_model_where_bert_has_no_share(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fairseq_prune.models.bert_fused.attention import FusedAttention

    plain, path = plain_checkpoint(tmp_path / "plain.pt")
    model = build(folder, "--warmup-from-nmt", path)
    before = {name: x.clone() for name, x in model.state_dict().items() if "bert" in name}
    model.warm_start()
    monkeypatch.setattr(FusedAttention, "share", lambda self: 0.0)
    torch.testing.assert_close(logits(model, "ab ba", "la"), logits(plain, "ab ba", "la"))
    assert len(before) == 4 * 8
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ("--encoder-layers 1", "has no encoder.layers.1.fc1.bias and 15 more: it is not the plain"),
        ("--encoder-layers 3", "has in excess encoder.layers.2.fc1.bias and 15 more"),
        (
            "--encoder-ffn-embed-dim 8",
            r"encoder.layers.0.fc1.bias is \(8,\) there and \(32,\) here",
        ),
        ("--encoder-attention-heads 4", "with --encoder-attention-heads 4, and this run has 2"),
        ("--activation-fn gelu", "with --activation-fn gelu, and this run has relu"),
    ],
)
def test_a_warm_start_from_another_model_is_refused_by_name(
    folder: Path, tmp_path: Path, more: str, sentence: str
) -> None:
    _, path = plain_checkpoint(tmp_path / "plain.pt", *more.split())
    with pytest.raises(ValueError, match=f"--warmup-from-nmt .*plain.pt.* {sentence}"):
        build(folder, "--warmup-from-nmt", path).warm_start()


# ------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ("--bert-dropnet 1.5", "--bert-dropnet 1.5 is outside [0, 1]: it is a probability."),
        ("--bert-text bpe", "--bert-text 'bpe' is unknown; choose none, sentencepiece"),
        ("--bert-output-layer 3", "has 2 layers, 1 to 2, or -1 (the last) to -2."),
        ("--bert-output-layer 0", "has 2 layers, 1 to 2, or -1 (the last) to -2."),
        ("--no-cross-attention", "--no-cross-attention does not go with --arch transformer_bert"),
        ("--bert-model /no/bert", "/no/bert cannot be loaded (there is no such folder)"),
        ("--bert-model no-bert", "--bert-model no-bert cannot be loaded (We couldn't connect"),
    ],
)
def test_bad_flags_are_one_sentence(
    folder: Path, more: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError) as error:
        build(folder, *more.split())
    assert sentence in str(error.value)
    assert isinstance(error.value, SystemExit)  # fairseq's programs end with the sentence alone
    assert "\n" not in str(error.value)


class Touch:
    """A pickle that would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def damage(folder: Path, what: str) -> None:
    if what == "code":
        (folder / "model.safetensors").unlink()
        torch.save({"x": Touch(folder / "ran")}, folder / "pytorch_model.bin")
    elif what == "truncated":
        (folder / "model.safetensors").write_bytes(b"123")
    elif what == "no tokenizer":
        (folder / "vocab.txt").unlink()
    elif what == "own code":
        text = (folder / "config.json").read_text()
        auto = '{"auto_map": {"AutoConfig": "own.C", "AutoModel": "own.M"}, "model_type": "own",'
        text = text.replace('"model_type": "bert",', "").replace("{", auto, 1)
        (folder / "config.json").write_text(text)
        (folder / "own.py").write_text(f"open({str(folder / 'ran')!r}, 'w')")


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("code", "its weights hold more than tensors, which could run code"),
        ("truncated", "cannot be loaded (Error while deserializing header"),
        ("no tokenizer", "its tokenizer has 5 pieces, and its table of embeddings 29 rows"),
        ("own code", "it comes with code of its own, which is not run"),
    ],
)
def test_a_bad_folder_is_one_sentence_and_runs_nothing(
    tmp_path: Path, what: str, sentence: str
) -> None:
    folder = save_bert(tmp_path / "bert")
    damage(folder, what)
    with pytest.raises(ValueError) as error:
        build(folder)
    assert sentence in str(error.value)
    assert not (folder / "ran").exists()


def test_weights_in_torch_s_own_format_are_read_too(folder: Path, tmp_path: Path) -> None:
    other = build(save_bert(tmp_path / "bert", safe=False))
    expected = build(folder).encoder.bert.network.state_dict()
    found = other.encoder.bert.network.state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_without_the_library_there_is_a_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install transformers\.$"):
        build(folder)
