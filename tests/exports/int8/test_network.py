"""Networks in integers are, up to their rounding, fairseq's LSTMs."""

from typing import Any

import pytest
import torch

from fairseq_prune import models
from fairseq_prune.exports.int8 import conversion, network, parts
from fairseq_prune.exports.int8.conversion import network_of
from fairseq_prune.exports.int8.network import Int8LSTM, Memory
from fairseq_prune.exports.int8.parts import Spec
from tests.exports.int8 import lstms
from tests.exports.int8.lstms import KINDS

LENGTHS = [7, 5, 5, 2]


@pytest.fixture(autouse=True)
def registered() -> None:
    models.register()


def both(kind: str, **options: Any) -> tuple[Any, Int8LSTM]:
    """fairseq's model and the network in integers."""
    model, settings = lstms.build(kind, **options)
    spec, tensors = network_of(lstms.content_of(model, settings), "model.pt")
    assert Spec.unpack({n: list(v) if isinstance(v, tuple) else v
                        for n, v in spec.pack().items()}) == spec  # fmt: skip
    words = lstms.dictionary()
    return model, Int8LSTM(spec, tensors, (words, words))


def log_probs(model: Any, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        out = model(source, source.ne(1).sum(1), target)
        found: torch.Tensor = model.get_normalized_probs(out, log_probs=True)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_nearly_the_same_probabilities(kind: str) -> None:
    model, coarse = both(kind)
    source, target = lstms.batch(LENGTHS), lstms.batch([6, 6, 6, 6])
    exact, found = (log_probs(one, source, target) for one in (model, coarse))
    # how much words and sentences move what the softmax says; a wrong gate errs by as much
    spread = float((exact - exact.mean(dim=(0, 1))).abs().mean())
    error = float((exact - found).abs().mean())
    assert spread > 0.1 and error < 0.12 * spread, (error, spread)


class _InFloats:
    """A linear layer that does not round."""

    def __init__(self, weight: torch.Tensor, _: Any, bias: torch.Tensor | None) -> None:
        self._parts = weight, bias

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        assert float(x.abs().max()) <= 1  # what the layers in integers take
        return self.of_any_size(x)

    def of_any_size(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(x, *self._parts)


@pytest.mark.parametrize("kind", KINDS)
def test_without_rounding_every_kind_is_fairseqs_model(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def table_of(weight: torch.Tensor, *_: Any) -> tuple[torch.Tensor, float]:
        bound = float(weight.abs().max())
        return weight / bound, bound

    monkeypatch.setattr(conversion, "quantised", lambda w: (w, torch.ones(len(w))))
    for module in (conversion, network):
        monkeypatch.setattr(module, "tied_table", table_of)
    monkeypatch.setattr(conversion, "table_of", table_of)
    monkeypatch.setattr(network, "numbers", lambda x: x)
    monkeypatch.setattr(network, "maker", lambda _: lambda _, *parts: _InFloats(*parts))
    checked = parts.Parts.tensor

    def of_floats(self: Any, name: str, _: Any, *shape: int | None) -> torch.Tensor:
        return checked(self, name, torch.float32, *shape)

    monkeypatch.setattr(parts.Parts, "tensor", of_floats)
    model, exact = both(kind)
    source, target = lstms.batch(LENGTHS), lstms.batch([6, 6, 6, 6])
    expected, found = (log_probs(one, source, target) for one in (model, exact))
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sentence_does_not_depend_on_its_batch_or_padding(kind: str) -> None:
    _, coarse = both(kind)
    source, target = lstms.batch(LENGTHS), lstms.batch([6, 6, 6, 6])
    whole = log_probs(coarse, source, target)
    right = log_probs(coarse, lstms.batch(LENGTHS, left=False), target)
    assert torch.allclose(right, whole, atol=1e-5)
    for number, size in enumerate(LENGTHS):
        alone = log_probs(coarse, source[number : number + 1, -size:], target[number : number + 1])
        assert torch.allclose(alone[0], whole[number], atol=1e-5)


@pytest.mark.parametrize("kind", ["lstm, another width", "shrunk_lstm", "see2016_lstm, reversed"])
def test_beam_search_scores_what_reading_a_whole_translation_scores(kind: str) -> None:
    from fairseq.sequence_generator import SequenceGenerator

    _, coarse = both(kind)
    source, words = lstms.batch(LENGTHS), lstms.dictionary()
    search = SequenceGenerator([coarse], words, beam_size=3, max_len_b=9)
    sample = {"net_input": {"src_tokens": source, "src_lengths": source.ne(1).sum(1)}}
    for number, hypotheses in enumerate(search.generate([coarse], sample)):
        for hypothesis in hypotheses:
            tokens = hypothesis["tokens"]
            target = torch.cat((torch.tensor([2]), tokens[:-1]))[None]
            one = source[number : number + 1]
            scores = log_probs(coarse, one, target)[0].gather(1, tokens[:, None])[:, 0]
            assert torch.allclose(hypothesis["positional_scores"], scores, atol=1e-4)


def test_memory_is_kept_once_for_the_rows_of_a_sentence() -> None:
    states = torch.randn(3, 4, 2)
    memory = Memory(states, None, [states[:, 0]], [states[:, 1]])
    beams = memory.of(torch.tensor([0, 0, 1, 1, 2, 2]))
    assert beams.states.shape == states.shape and beams.each == 2
    assert beams.of(torch.tensor([1, 0, 2, 2, 5, 4])) is beams  # the same sentences
    query = torch.randn(6, 2)
    alone = memory.of(torch.tensor([0, 2, 2]))  # not equally many rows each
    assert alone.each == 1 and torch.equal(alone.states, states[[0, 2, 2]])
    fewer = beams.of(torch.tensor([2, 3, 5, 5]))
    assert torch.equal(fewer.states, states[1:]) and torch.equal(fewer.first(states[1:, 0]),
        states[[1, 1, 2, 2], 0])  # fmt: skip
    expected = torch.stack([
        torch.softmax(states[n // 2] @ q, 0) @ states[n // 2] for n, q in enumerate(query)
    ])  # fmt: skip
    assert torch.allclose(beams.attend(query), expected, atol=1e-6)


@pytest.mark.parametrize("change", ["a tensor less", "a tensor more", "another shape", "floats"])
def test_tensors_that_are_not_those_of_the_network(change: str) -> None:
    spec, tensors = network_of(lstms.content_of(*lstms.build("lstm")), "model.pt")
    words = lstms.dictionary()
    name = "decoder.layers.1.weight"
    if change == "a tensor less":
        del tensors[name]
        says = f"it has no {name}"
    elif change == "a tensor more":
        tensors["decoder.more"] = torch.zeros(1)
        says = "it has decoder.more, which its network does not use"
    else:
        old = tensors[name]
        tensors[name] = old.float() if change == "floats" else old[:, :-1]
        says = f"its {name} has the shape"
    with pytest.raises(ValueError, match=says):
        Int8LSTM(spec, tensors, (words, words))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("encoder", []), ("encoder", [0]), ("decoder", [4, 4, 4]), ("directions", 3),
        ("feeds", -1), ("attention", "more"), ("tied", 1), ("positions", [5]), ("more", 1),
    ],
)  # fmt: skip
def test_a_network_that_cannot_be(name: str, value: Any) -> None:
    spec, _ = network_of(lstms.content_of(*lstms.build("lstm")), "model.pt")
    packed = {n: list(v) if isinstance(v, tuple) else v for n, v in spec.pack().items()}
    with pytest.raises(ValueError, match="its "):
        Spec.unpack({**packed, name: value})
    for other in (None, [], "lstm"):
        with pytest.raises(ValueError, match="its network"):
            Spec.unpack(other)


def test_what_is_no_lstm_or_has_more_is_refused() -> None:
    model, settings = lstms.build("lstm")
    content = lstms.content_of(model, settings)
    more = {**content, "model": {**content["model"], "decoder.adaptive_softmax.x": torch.zeros(2)}}
    with pytest.raises(ValueError, match="has decoder.adaptive_softmax.x, for which"):
        network_of(more, "model.pt")
    content["cfg"]["task"]["_name"] = "translation_moe"
    with pytest.raises(ValueError, match="trained with --task translation_moe"):
        network_of(content, "model.pt")
    settings.arch = settings._name = "transformer"
    with pytest.raises(ValueError, match="a Transformer goes to --format ctranslate2"):
        network_of(content, "model.pt")
