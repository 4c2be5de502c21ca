"""Scores of fairseq's units over all that reads them, against a float64 computation by hand."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from fairseq_prune.network.axes import find_axes, heads_of
from fairseq_prune.network.probing import Sample
from fairseq_prune.network.units import Axis
from fairseq_prune.network.weights import of_module
from fairseq_prune.saliency import UNIT_SALIENCIES, Probe

SIZES = {
    "lstm": "--encoder-layers 1 --decoder-layers 1 --encoder-hidden-size 6 --decoder-hidden-size 6 "
    "--encoder-embed-dim 5 --decoder-embed-dim 5 --decoder-out-embed-dim 6",
    "transformer": "--encoder-layers 1 --decoder-layers 1 --encoder-embed-dim 8 "
    "--decoder-embed-dim 8 --encoder-ffn-embed-dim 6 --decoder-ffn-embed-dim 6 "
    "--encoder-attention-heads 2 --decoder-attention-heads 2",
    "see2016_lstm": "--encoder-layers 2 --decoder-layers 2 --encoder-hidden-size 6 "
    "--decoder-hidden-size 6 --encoder-embed-dim 6 --decoder-embed-dim 6",
}
SUMMED = ("n2ps", "goodness-factor", "consuming-energy", "weights-power")
GATES = ("bias_ih", "bias_hh")


def build(arch: str) -> Any:
    from fairseq import options
    from fairseq.data import Dictionary
    from fairseq.models import ARCH_MODEL_REGISTRY

    from fairseq_prune import models

    models.register()
    words = Dictionary()
    for word in "abcdefgh":
        words.add_symbol(word)
    flags = ["data", "--arch", arch, "--criterion", "cross_entropy", *SIZES[arch].split()]
    args = options.parse_args_and_arch(options.get_training_parser(), flags)
    args.max_source_positions = args.max_target_positions = 16
    task = SimpleNamespace(source_dictionary=words, target_dictionary=words)
    torch.manual_seed(3)
    model = ARCH_MODEL_REGISTRY[arch].build_model(args, task).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return model


def sentences() -> list[tuple[Tensor, Tensor]]:
    """Batches of source and target, without padding."""
    draw = torch.Generator().manual_seed(5)
    sizes = [(3, 5, 4), (1, 2, 3), (2, 4, 4)]
    return [
        (
            torch.randint(4, 12, (rows, source), generator=draw),
            torch.randint(4, 12, (rows, target), generator=draw),
        )
        for rows, source, target in sizes
    ]


def probe_of(model: Any) -> Probe:
    def loss(batch: Any, temperature: float = 1.0) -> tuple[Tensor, float]:
        source, target = batch
        lengths = torch.full((len(source),), source.shape[1])
        logits = model(source, lengths, target.roll(1, 1))[0]
        found = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), target.flatten(), reduction="sum"
        )
        return found, target.numel()

    def examples(batch: Any) -> list[Any]:
        return [(s[None], t[None]) for s, t in zip(*batch, strict=True)]

    tensors = dict(model.named_parameters(remove_duplicate=False))
    axes = {axis.name: axis for axis in find_axes(tensors, heads_of(model))}
    whole = lambda batch: [batch]  # noqa: E731
    sample = Sample(model, sentences(), loss, examples, unpadded=whole)
    return Probe(of_module(model), sample=sample, axes=axes)


def scores(name: str, model: Any) -> dict[str, Tensor]:
    return {axis: s.values for axis, s in UNIT_SALIENCIES[name].score(probe_of(model)).items()}


# ---------------------------------------------------------------- by hand
Read = list[tuple[Tensor, Tensor]]  # of each reader: what it takes (tokens, units), w (units, out)


def cell(x: Tensor, h: Tensor, c: Tensor, w: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    gates = x @ w["weight_ih"].T + h @ w["weight_hh"].T + w["bias_ih"] + w["bias_hh"]
    i, f, g, o = gates.chunk(4, dim=1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def read_by_hand(model: Any, source: Tensor, target: Tensor) -> tuple[Read, list[Tensor]]:
    """What reads the cells of a 1 + 1 layer LSTM, what it takes, and y = x w + the rest's part."""
    p = {name: value.detach() for name, value in model.named_parameters()}
    encoder = {n: p[f"encoder.lstm.{n}_l0"] for n in ("weight_ih", "weight_hh", *GATES)}
    decoder = {n: p[f"decoder.layers.0.{n}"] for n in ("weight_ih", "weight_hh", *GATES)}
    score, out = p["decoder.attention.input_proj.weight"], p["decoder.attention.output_proj.weight"]
    h = c = torch.zeros(len(source), 6).double()
    before, states = [], []
    for token in source.T:
        before.append(h)
        h, c = cell(p["encoder.embed_tokens.weight"][token], h, c, encoder)
        states.append(h)
    memory = torch.stack(states, dim=1)  # (B, S, 6)
    feed = torch.zeros(len(source), 6).double()
    own, made, contexts = [], [], []
    for token in target.roll(1, 1).T:
        own.append(h)
        x = torch.cat([p["decoder.embed_tokens.weight"][token], feed], dim=1)
        h, c = cell(x, h, c, decoder)
        weights = torch.einsum("bsi,bi->bs", memory, h @ score.T).softmax(dim=1)
        context = torch.einsum("bs,bsi->bi", weights, memory)
        feed = (torch.cat([context, h], dim=1) @ out.T).tanh()
        made.append(h)
        contexts.append(context)
    flat = [torch.cat(part) for part in (before, own, made, contexts)]
    old, initial, hidden, context = flat
    memory = memory.reshape(-1, 6)
    read = [
        (old, encoder["weight_hh"].T),
        (memory, score),  # turned: it multiplies the states by w^T h, that is h by w times states
        (context, out[:, :6].T),
        (initial, decoder["weight_hh"].T),
        (hidden, score.T),
        (hidden, out[:, 6:].T),
    ]
    both = context @ out[:, :6].T + hidden @ out[:, 6:].T  # one matrix, one activation
    puts_out = [x @ w for x, w in read]
    puts_out[2] = puts_out[5] = both
    return read, puts_out


def test_cells_of_an_lstm_are_scored_over_all_that_reads_them() -> None:
    model = build("lstm")
    parts = [read_by_hand(model, *batch) for batch in sentences()]
    expected = {name: torch.zeros(6).double() for name in SUMMED}
    for k in range(6):
        x = torch.cat([read[k][0] for read, _ in parts])
        y = torch.cat([puts[k] for _, puts in parts])
        w = parts[0][0][k][1]
        expected["n2ps"] += w.abs().sum(dim=1) * x.abs().mean(dim=0)
        expected["weights-power"] += w.square().sum(dim=1)
        expected["goodness-factor"] += (w[None] * x[:, :, None]).square().sum(dim=(0, 2))
        terms = w[None] * x[:, :, None] * y[:, None, :]
        expected["consuming-energy"] += terms.sum(dim=(0, 2))
    for name in SUMMED:
        torch.testing.assert_close(scores(name, model)["layers.0"], expected[name])


def test_mutual_information_looks_at_encoder_and_decoder() -> None:
    from fairseq_prune.network.inputs import each_example, values
    from fairseq_prune.saliency.mutual_information import _value

    model = build("lstm")
    probe = probe_of(model)
    assert probe.axes is not None
    axis, found = probe.axes["layers.0"], []
    for _, sums, counts in each_example(probe.data, probe.readings, values):
        found.append(_value(axis, sums) / _value(axis, counts))
    singles = [one for batch in sentences() for one in probe.data.examples(batch)]
    for one, value in zip(singles, found, strict=True):
        read, _ = read_by_hand(model, *one)
        torch.testing.assert_close(value, torch.cat([x for x, _ in read]).mean(dim=0))


def test_an_error_on_the_way_leaves_torch_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    from fairseq_prune.saliency import mutual_information as module

    def fails(*_: Any) -> Any:
        raise ValueError("on the way")

    monkeypatch.setattr(module, "_value", fails)
    with pytest.raises(ValueError, match="on the way") as kept:  # and its frames
        module.mutual_information(probe_of(build("lstm")))
    assert torch.backends.mkldnn.enabled and torch.backends.cudnn.enabled and kept is not None


# ---------------------------------------------------------------- what must not matter
@pytest.mark.parametrize("name", SUMMED)
def test_where_a_gate_has_its_bias_changes_no_unit(name: str) -> None:
    # only the sum of an LSTM's two biases has an effect
    model = build("lstm")
    before = scores(name, model)
    with torch.no_grad():
        for path, bias in list(model.named_parameters()):
            if "bias_ih" in path:
                bias += 3.0
                model.get_parameter(path.replace("bias_ih", "bias_hh")).sub_(3.0)
    after = scores(name, model)
    assert before.keys() == after.keys()
    for axis, value in before.items():
        torch.testing.assert_close(after[axis], value)


UNSEEN = {
    "lstm": ("decoder.fc_out.bias",),
    "transformer": ("decoder.layers.0.fc2.bias", "decoder.layers.0.encoder_attn.k_proj.bias"),
}


@pytest.mark.parametrize("name", SUMMED)
@pytest.mark.parametrize("arch", UNSEEN)
def test_a_bias_that_nothing_upstream_sees_changes_no_unit(arch: str, name: str) -> None:
    model = build(arch)
    before = scores(name, model)
    with torch.no_grad():
        for path in UNSEEN[arch]:
            model.get_parameter(path).add_(torch.randn_like(model.get_parameter(path)))
    for axis, value in scores(name, model).items():
        torch.testing.assert_close(value, before[axis])


def test_the_bias_of_what_reads_a_head_changes_none_of_its_heads() -> None:
    model = build("transformer")
    before = scores("consuming-energy", model)
    with torch.no_grad():
        bias = model.get_parameter("decoder.layers.0.encoder_attn.out_proj.bias")
        bias.add_(torch.randn_like(bias))
    after = scores("consuming-energy", model)
    for attention in ("self_attn", "encoder_attn"):
        name = f"decoder.layers.0.{attention}.heads"
        torch.testing.assert_close(after[name], before[name])
    assert not torch.allclose(after["decoder.layers.0.ffn"], before["decoder.layers.0.ffn"])


@pytest.mark.parametrize("arch", SIZES)
def test_only_what_attention_compares_with_reads_by_its_rows(arch: str) -> None:
    # a reader that no score counts would be a weight whose loss nobody sees
    probe = probe_of(build(arch))
    rows = [name for name, dim in probe.readings if dim == 0]
    assert rows == (["decoder.attention.input_proj.weight"] if arch == "lstm" else [])
    assert all(isinstance(axis, Axis) and axis.readers for axis in (probe.axes or {}).values())
