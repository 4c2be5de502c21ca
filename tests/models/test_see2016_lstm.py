"""The LSTM of See et al. (2016): its weights by class, what it computes, and how it decodes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from fairseq_prune.checkpoints.shrink import plan, shrink
from fairseq_prune.network.weights import of_module, of_state_dict
from fairseq_prune.pruning.bound import axes_of
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.tasks._flow import flow_of
from fairseq_prune.tasks.opening import open_checkpoint
from tests.models.nets import WORDS, batch, build, checkpoint, load, logits, save, settings, task

TINY = (
    "--arch see2016_lstm --encoder-embed-dim 5 --decoder-embed-dim 7 --encoder-hidden-size 6 "
    "--decoder-hidden-size 6 --encoder-layers 2 --decoder-layers 2 "
)
NETS = {
    "attention": TINY,
    "attention, reversed": TINY + "--reverse-source",
    "no attention": TINY + "--decoder-attention False",
    "no attention, reversed": TINY + "--decoder-attention 0 --reverse-source",
}


def net(name: str) -> Any:
    """A network of `NETS` in float64, with weights large enough to tell words apart."""
    torch.manual_seed(1)
    model = build(settings(NETS[name]))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(10)
    return model


@pytest.fixture(scope="module")
def paper() -> Any:
    """The paper's model, as shapes: fairseq-preprocess --nwordssrc 50000 --nwordstgt 50000."""
    from fairseq.data import Dictionary
    from fairseq.models import build_model

    words = Dictionary()
    for number in range(50_000 - len(words)):
        words.add_symbol(f"w{number}")
    both = SimpleNamespace(source_dictionary=words, target_dictionary=words)
    with torch.device("meta"):
        return build_model(settings("--arch see2016_lstm"), both)


@pytest.mark.parametrize("look", [of_module, lambda model: of_state_dict(model.state_dict())])
def test_the_papers_model_has_216_million_weights_in_12_classes(look: Any, paper: Any) -> None:
    entries: dict[str, int] = {}
    prunable: dict[str, int] = {}
    for weight in look(paper).values():
        label = weight.weight_class
        entries[label] = entries.get(label, 0) + weight.tensor.numel()
        prunable[label] = prunable.get(label, 0) + weight.prunable
    layers = {f"{side}-layer-{n}": 8_000_000 for side in ("source", "target") for n in range(1, 5)}
    tables = dict.fromkeys(("source-embedding", "target-embedding", "softmax"), 50_000_000)
    assert entries == {**layers, **tables, "attention": 2_000_000}
    assert sum(entries.values()) == 216_000_000
    # one of the 50,000 is <pad>, whose embedding is zero and no weight
    assert prunable == {
        **entries, **dict.fromkeys(("source-embedding", "target-embedding"), 49_999_000)
    }  # fmt: skip


def test_the_small_one_has_the_classes_of_two_layers() -> None:
    labels = {w.weight_class for w in of_module(net("attention")).values()}
    layers = {f"{side}-layer-{n}" for side in ("source", "target") for n in (1, 2)}
    assert labels == layers | {"source-embedding", "target-embedding", "attention", "softmax"}
    without = {w.weight_class for w in of_module(net("no attention")).values()}
    assert labels - without == {"attention"}


@pytest.mark.parametrize("arch", [("see2016_lstm", 1000, 4), ("see2016_lstm_iwslt", 512, 2)])
def test_sizes_are_the_published_ones_and_can_be_given(arch: tuple[str, int, int]) -> None:
    name, width, layers = arch
    plain, given = settings(f"--arch {name}"), settings(f"--arch {name} --dropout 0")
    for side in ("encoder", "decoder"):
        assert getattr(plain, f"{side}_embed_dim") == width
        assert getattr(plain, f"{side}_hidden_size") == width
        assert getattr(plain, f"{side}_layers") == layers
    assert (plain.dropout, given.dropout) == (0.2, 0.0)


def test_weights_begin_uniform_in_a_tenth_and_pads_at_zero() -> None:
    model = build(settings(TINY))
    values = torch.cat([p.detach().flatten() for p in model.parameters()])
    assert 0.099 < float(values.abs().max()) <= 0.1 and abs(float(values.mean())) < 0.01
    assert not bool(model.encoder.embed_tokens.weight[1].any())
    assert not bool(model.decoder.embed_tokens.weight[1].any())


def run_layers(module: Any, x: Tensor, states: list[tuple[Tensor, Tensor]]) -> Tensor:
    """One sentence, (words, width), through a stack of LSTM layers by the textbook's formulas."""
    for layer, (hidden, cell) in enumerate(states):
        w_ih, w_hh, b_ih, b_hh = (
            getattr(module, f"{name}_l{layer}")
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        out = []
        for word in x:
            i, f, g, o = (w_ih @ word + b_ih + w_hh @ hidden + b_hh).chunk(4)
            cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
            hidden = o.sigmoid() * cell.tanh()
            out.append(hidden)
        x, states[layer] = torch.stack(out), (hidden, cell)
    return x


def by_hand(model: Any, source: Tensor, target: Tensor, turned: bool, attends: bool) -> Tensor:
    """The logits of one sentence without padding, (words, vocabulary)."""
    zero = torch.zeros(6, dtype=torch.float64)
    states = [(zero, zero), (zero, zero)]
    words = source.flip(0) if turned else source
    memory = run_layers(model.encoder.lstm, model.encoder.embed_tokens.weight[words], states)
    x = run_layers(model.decoder.lstm, model.decoder.embed_tokens.weight[target], states)
    if attends:
        context = torch.stack([(memory @ h).softmax(0) @ memory for h in x])
        both = torch.cat((context, x), dim=1)  # [c; h]
        x = torch.tanh(both @ model.decoder.attention.output_proj.weight.T)
    return F.linear(x, model.decoder.fc_out.weight, model.decoder.fc_out.bias)


@pytest.mark.parametrize("name", NETS)
def test_it_computes_the_papers_formulas_whatever_the_padding(name: str) -> None:
    model = net(name)
    source, target = batch()
    found = logits(model)
    for row in range(len(source)):
        words = source[row][source[row] != 1]
        with torch.no_grad():
            expected = by_hand(model, words, target[row], "rev" in name, "no att" not in name)
        torch.testing.assert_close(found[row], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NETS)
def test_word_by_word_and_reordered_as_all_at_once(name: str) -> None:
    model = net(name)
    source, target = batch()
    order = torch.tensor([2, 0, 0])
    mixed = torch.cat((target[order][:, :2], target[:, 2:]), dim=1)
    with torch.no_grad():
        encoded = model.encoder(source, (source != 1).sum(dim=1))
        state: dict[str, Any] = {}
        steps = [model.decoder(target[:, : end + 1], encoded, state)[0] for end in range(2)]
        model.decoder.reorder_incremental_state_scripting(state, order)
        encoded = model.encoder.reorder_encoder_out(encoded, order)
        later = [model.decoder(mixed[:, : end + 1], encoded, state)[0] for end in range(2, 5)]
        whole = model.decoder(mixed, encoded)[0]
    torch.testing.assert_close(torch.cat(steps, 1), logits(model)[:, :2], rtol=0, atol=1e-12)
    torch.testing.assert_close(torch.cat(later, 1), whole[:, 2:], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["attention", "attention, reversed"])
def test_attention_is_over_the_words_of_the_source(name: str) -> None:
    model = net(name)
    source, target = batch()
    with torch.no_grad():
        weights = model(source, (source != 1).sum(dim=1), target)[1]
    assert weights.shape == (3, 5, 7)
    torch.testing.assert_close(weights.sum(2), torch.ones(3, 5, dtype=torch.float64))
    # fairseq's encoder moves padding to the right; reading backwards, words stay where they are
    padding = source == 1 if "reversed" in name else source.flip(1) == 1
    assert not bool(weights[padding[:, None, :].expand_as(weights)].any())


@pytest.mark.parametrize("name", NETS)
def test_beam_search_scores_as_the_whole_sentence_does(name: str) -> None:
    from fairseq.sequence_generator import SequenceGenerator

    model = net(name)
    search = SequenceGenerator([model], task().target_dictionary, beam_size=3, max_len_b=6)
    source, _ = batch()
    alone = [generate(search, row[row != 1][None]) for row in source]
    for row, found in enumerate(generate(search, source, rows=3)):
        assert [h["tokens"].tolist() for h in found] == [
            h["tokens"].tolist() for h in alone[row][0]
        ]
        for best in found:
            tokens = best["tokens"]
            words = torch.cat((tokens.new_tensor([2]), tokens[:-1]))
            inputs = source[row][source[row] != 1][None]
            with torch.no_grad():
                told = model(inputs, torch.tensor([inputs.shape[1]]), words[None])[0]
            expected = told[0].log_softmax(-1).gather(1, tokens[:, None])[:, 0]
            # fairseq keeps its scores in float32
            torch.testing.assert_close(
                best["positional_scores"].double(), expected, rtol=0, atol=1e-5
            )


def generate(search: Any, source: Tensor, rows: int = 1) -> list[list[dict[str, Any]]]:
    """The hypotheses of each sentence, best first."""
    lengths = (source != 1).sum(dim=1)
    sample = {"net_input": {"src_tokens": source, "src_lengths": lengths}}
    with torch.no_grad():
        found: list[list[dict[str, Any]]] = search.generate([search.model.single_model], sample)
    assert len(found) == rows
    return found


def test_synflow_conserves_what_flows_through_attention() -> None:
    flow = flow_of(net("attention"))
    named = {name: p for name, p in flow.model.named_parameters() if p.dim() > 1}  # no biases
    total = flow.run(flow.model).sum()
    flows = {
        name: (value * part).detach()
        for (name, value), part in zip(
            named.items(), torch.autograd.grad(total, list(named.values())), strict=True
        )
    }
    softmax, attention = (
        flows[f"decoder.{part}.weight"] for part in ("fc_out", "attention.output_proj")
    )
    torch.testing.assert_close(softmax.sum(), total.detach())
    torch.testing.assert_close(attention.sum(1), softmax.sum(0))
    # the left half reads the source, whose cells hand their states to the decoder's too
    assert bool((attention > 0).all())
    assert all(bool((flows[f"{s}.lstm.weight_ih_l0"] > 0).all()) for s in ("encoder", "decoder"))


@pytest.mark.parametrize("name", NETS)
def test_embedding_columns_are_cut_out_and_nothing_changes(name: str, tmp_path: Path) -> None:
    model = net(name)
    with torch.no_grad():
        model.encoder.lstm.weight_ih_l0[:, 1:3] = 0
        model.decoder.lstm.weight_ih_l0[:, 0] = 0
    path = save(tmp_path / "pruned.pt", checkpoint(settings(NETS[name]), model))
    cut = plan(open_checkpoint(path))
    assert cut.counts == {"encoder.embed_tokens": (5, 3), "decoder.embed_tokens": (7, 6)}
    assert cut.arch == "see2016_lstm"
    small = load(shrink(cut))
    assert small.encoder.embed_tokens.weight.shape == (WORDS, 3)
    torch.testing.assert_close(logits(small), logits(model), rtol=0, atol=1e-12)


@pytest.mark.parametrize("structure", ["hidden", "hidden+embedding"])
def test_cells_are_refused_in_a_sentence(structure: str) -> None:
    model = net("attention")
    recipe = Recipe(scheme="class-uniform", structure=structure)
    message = "--prune-structure hidden cannot cut the cells of see2016_lstm, whose attention "
    with pytest.raises(ValueError, match=message):
        axes_of(model, of_module(model), recipe)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--encoder-layers 3", "--encoder-layers 3 and --decoder-layers 2 must be equal"),
        ("--decoder-hidden-size 8", "hidden-size 6 and --decoder-hidden-size 8 must be equal"),
        ("--decoder-attention dot", "--decoder-attention dot must be True or False."),
    ],
)
def test_sides_that_cannot_be_joined_are_refused(flags: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(settings(TINY + flags))
