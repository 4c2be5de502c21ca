"""What flows into a unit flows out of it, in every kind of layer that is made linear."""

import pytest
import torch
from torch import Tensor, nn

from fairseq_prune.network.linearise import linear_copy, normalised_copy


def flows(model: nn.Module, outputs: Tensor) -> dict[str, Tensor]:
    """w dR/dw by name, R being the sum of the outputs."""
    named = dict(model.named_parameters())
    found = torch.autograd.grad(outputs.sum(), list(named.values()), allow_unused=True)
    return {
        name: torch.zeros_like(w) if g is None else (w * g).detach()
        for (name, w), g in zip(named.items(), found, strict=True)
    }


def gates(flow: Tensor) -> Tensor:
    """What comes into each unit of a LSTM through a matrix of its gates."""
    return flow.sum(dim=1).reshape(4, -1).sum(dim=0)


def test_a_chain_of_layers_is_the_product_of_their_sizes() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.ReLU(), nn.Linear(4, 2))
    linear = linear_copy(model)
    a, b = model[0].weight.detach().double().abs(), model[3].weight.detach().double().abs()
    outputs = linear(torch.ones(1, 3, dtype=torch.float64))
    torch.testing.assert_close(outputs[0], b @ (a @ torch.ones(3, dtype=torch.float64)))
    found = flows(linear, outputs)
    torch.testing.assert_close(found["0.weight"].sum(), outputs.sum())
    torch.testing.assert_close(found["3.weight"].sum(), outputs.sum())
    torch.testing.assert_close(found["0.weight"].sum(1), found["3.weight"].sum(0))


def test_all_that_a_matrix_puts_out_has_a_mean_of_one_in_a_normalised_copy() -> None:
    torch.manual_seed(0)
    model = nn.ModuleDict(
        {"table": nn.Embedding(5, 3), "lstm": nn.LSTM(3, 4), "out": nn.Linear(4, 2)}
    )
    linear, gates_of_matrices = normalised_copy(model)
    words = linear["table"](torch.zeros(1, 1, dtype=torch.long))
    torch.testing.assert_close(words.mean(), words.new_ones(()))
    hidden, _ = linear["lstm"](words)
    # four gates of one matrix: the first step has no state before it
    torch.testing.assert_close(hidden.mean(), words.new_full((), 4.0))
    assert float(linear["out"](hidden).mean()) == pytest.approx(1)
    outputs = linear["out"](hidden)
    through = torch.autograd.grad(outputs.sum(), gates_of_matrices, retain_graph=True)
    found = flows(linear, outputs)
    torch.testing.assert_close(gates(found["lstm.weight_ih_l0"]), found["out.weight"].sum(0))
    matrices = [found[name].sum() for name, p in linear.named_parameters() if p.dim() > 1]
    torch.testing.assert_close(torch.stack(through), torch.stack(matrices))
    with torch.no_grad():
        linear["out"].weight.zero_()
    assert not bool(linear["out"](hidden).any())  # nothing is left, and it is no NaN


def test_the_model_itself_is_not_touched() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.LSTM(4, 2))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    linear_copy(model)
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters())
    assert "forward" not in vars(model[2]) and "forward" not in vars(model[1])


def test_a_lstm_conserves_what_flows_through_its_units() -> None:
    torch.manual_seed(0)
    linear = linear_copy(
        nn.ModuleDict({"lstm": nn.LSTM(3, 5, num_layers=2), "out": nn.Linear(5, 2)})
    )
    hidden, _ = linear["lstm"](torch.ones(2, 1, 3, dtype=torch.float64))
    found = flows(linear, linear["out"](hidden))
    below = gates(found["lstm.weight_ih_l0"]) + gates(found["lstm.weight_hh_l0"])
    above = gates(found["lstm.weight_ih_l1"]) + gates(found["lstm.weight_hh_l1"])
    torch.testing.assert_close(
        below, found["lstm.weight_ih_l1"].sum(0) + found["lstm.weight_hh_l0"].sum(0)
    )
    torch.testing.assert_close(
        above, found["out.weight"].sum(0) + found["lstm.weight_hh_l1"].sum(0)
    )
    assert all(float(f.sum()) > 0 for n, f in found.items() if "weight" in n)


def test_both_directions_of_a_lstm_take_part() -> None:
    linear = linear_copy(nn.LSTM(3, 4, bidirectional=True))
    hidden, (last, cell) = linear(torch.ones(2, 1, 3, dtype=torch.float64))
    assert hidden.shape == (2, 1, 8) and last.shape == cell.shape == (2, 1, 4)
    found = flows(linear, hidden)
    assert all(bool((f > 0).all()) for n, f in found.items() if "weight" in n)


def test_a_table_gives_the_sum_of_all_but_the_pad_row() -> None:
    table = nn.Embedding(5, 2, padding_idx=1)
    linear = linear_copy(table)
    sizes = table.weight.detach().double().abs()
    expected = sizes.sum(0)  # the pad row is zero
    torch.testing.assert_close(linear(torch.zeros(1, 2, dtype=torch.long))[0, 1].detach(), expected)
    found = flows(linear, linear(torch.zeros(1, 1, dtype=torch.long)))
    assert not bool(found["weight"][1].any())
