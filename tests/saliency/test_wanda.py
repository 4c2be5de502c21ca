"""Wanda, against the norms of inputs worked out by hand."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_prune.network.inputs import squared_inputs
from fairseq_prune.network.probing import Sample
from fairseq_prune.network.weights import Weight, of_module
from fairseq_prune.saliency import SALIENCIES, Probe
from tests.saliency.toy import Toy, batches, probe_of

PAD = 1


def sample_of(model: nn.Module, data: list[Any]) -> Sample:
    """Each of ``data`` is the model's input; what it gives is summed up."""
    return Sample(model, data, lambda batch, temperature=1.0: (model(batch).sum(), 1.0))


def squares(model: nn.Module, data: list[Any]) -> dict[str, Tensor]:
    return squared_inputs(sample_of(model, data), [n for n, p in model.named_parameters()])


def test_scores_are_weight_times_norm_of_its_input() -> None:
    model = Toy()
    scores = SALIENCIES["wanda"].score(probe_of(model, batches()))
    x = torch.cat([batch[0] for batch in batches()])
    hidden = torch.tanh(model.a(x))
    for name, layer, given in (("a.weight", model.a, x), ("b.weight", model.b, hidden)):
        expected = layer.weight.abs() * given.norm(dim=0)
        torch.testing.assert_close(scores[name].values, expected.detach())


class Tied(nn.Module):
    """Tokens are looked up in a table, and logits are products with the same table."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(6, 4, padding_idx=PAD)
        self.out = nn.Linear(4, 6, bias=False)
        self.out.weight = self.table.weight
        self.double()

    def forward(self, tokens: Tensor) -> Tensor:
        """The logits (n, 6) of n tokens."""
        logits: Tensor = self.out(torch.tanh(self.table(tokens)))
        return logits


def test_the_uses_of_a_tied_table_add_up() -> None:
    model = Tied()
    data = [torch.tensor([0, 2, 2]), torch.tensor([5])]
    weights = of_module(model)
    scores = SALIENCIES["wanda"].score(Probe(weights, sample=sample_of(model, data)))
    counts = torch.tensor([1.0, 0.0, 2.0, 0.0, 0.0, 1.0], dtype=torch.float64)
    hidden = torch.tanh(model.table(torch.cat(data)))
    expected = model.table.weight**2 * (counts[:, None] + hidden.square().sum(0)[None, :])
    torch.testing.assert_close(scores["table.weight"].values.square(), expected.detach())


def test_an_example_that_is_padded_is_refused() -> None:
    with pytest.raises(ValueError, match="--required-seq-len-multiple"):
        squares(Tied(), [torch.tensor([0, PAD])])


class Uses(nn.Module):
    """A matrix (6, 3) of which ``use`` makes what it likes."""

    def __init__(self, use: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(6, 3, dtype=torch.float64))
        self.use = use

    def forward(self, x: Tensor) -> Tensor:
        """What comes of it."""
        return self.use(x, self.w)


def rows(x: Tensor, a: int = 0, b: int = 6) -> Tensor:
    """The squares of x (n, 3) for the rows from a to b of the matrix, none elsewhere."""
    found = x.new_zeros(6, 3)
    found[a:b] = x.reshape(-1, 3).square().sum(0)
    return found


def columns(x: Tensor) -> Tensor:
    """The squares of x (n, 6), for all columns of the matrix."""
    return x.square().sum(0)[:, None].expand(6, 3)


USES: dict[str, tuple[Any, tuple[int, ...], Any]] = {
    "as a layer": (lambda x, w: F.linear(x, w, x.new_ones(6)), (5, 3), rows),
    "in a batch": (lambda x, w: F.linear(x, w), (2, 5, 3), rows),
    "in a batch, time in the middle": (
        lambda x, w: F.linear(x.transpose(0, 1), w), (2, 5, 3), rows,
    ),
    "in a batch of its own": (lambda x, w: x.bmm(w.T.expand(2, 3, 6)), (2, 5, 3), rows),
    "turned": (lambda x, w: x @ w, (5, 6), columns),
    "from the left": (lambda x, w: w @ x.T, (5, 3), rows),
    "from the left, turned": (lambda x, w: w.T @ x.T, (5, 6), columns),
    "cut": (
        lambda x, w: torch.cat([F.linear(x, w[:2]), F.linear(2 * x, w[3:])], 1),
        (5, 3),
        lambda x: rows(x, 0, 2) + rows(2 * x, 3, 6),
    ),
    "twice": (lambda x, w: F.linear(x, w) + F.linear(3 * x, w), (5, 3), lambda x: 10 * rows(x)),
    "as batches of its parts": (
        lambda x, w: x.expand(2, 5, 3).bmm(w.view(2, 3, 3).mT), (5, 3), rows,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("use", "shape", "expected"), USES.values(), ids=USES)
def test_a_matrix_is_known_however_it_is_used(
    use: Any, shape: tuple[int, ...], expected: Any
) -> None:
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=torch.float64)
    torch.testing.assert_close(squares(Uses(use), [x])["w"], expected(x))


@pytest.mark.parametrize(
    "use", [lambda x, w: F.linear(x, w.abs()), lambda x, w: F.linear(x, torch.cat([w, w]))]
)
def test_a_use_that_is_not_known_is_refused(use: Any) -> None:
    with pytest.raises(ValueError, match=r"^w is used by aten\.(abs|cat)"):
        squares(Uses(use), [torch.ones(2, 3, dtype=torch.float64)])


def test_the_matrices_of_an_lstm() -> None:
    torch.manual_seed(0)
    lstm = nn.LSTM(3, 4, num_layers=2, bidirectional=True)
    x = torch.randn(7, 1, 3)

    def loss(batch: Tensor, temperature: float = 1.0) -> tuple[Tensor, float]:
        packed = nn.utils.rnn.pack_padded_sequence(batch, torch.tensor([7]))
        return lstm(packed)[0].data.sum(), 1.0

    names = [n for n, p in lstm.named_parameters() if p.dim() == 2]
    found = squared_inputs(Sample(lstm, [x], loss), names)
    given = x
    for layer in range(2):
        one = nn.LSTM(given.shape[2], 4, bidirectional=True)
        for name, parameter in one.named_parameters():
            parameter.data = lstm.get_parameter(name.replace("_l0", f"_l{layer}")).data
        out = one(given)[0].detach()
        before = {"": out[:-1, :, :4], "_reverse": out[1:, :, 4:]}  # the state a step starts from
        for suffix, state in before.items():
            for part, value in (("ih", given), ("hh", state)):
                sums = value.double().square().sum((0, 1)).expand(16, -1)
                torch.testing.assert_close(found[f"weight_{part}_l{layer}{suffix}"], sums)
        given = out


@pytest.mark.parametrize(
    ("weight", "what"),
    [
        (Weight("conv.weight", torch.ones(2, 2, 3)), "conv.weight is a convolution's kernel"),
        (
            Weight("fc.weight_v", torch.ones(2, 2), gain=torch.ones(2, 1)),
            "fc.weight_v is weight-normalised",
        ),
    ],
)
def test_what_is_no_plain_matrix_is_refused(weight: Weight, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        SALIENCIES["wanda"].score(Probe({weight.name: weight}))
