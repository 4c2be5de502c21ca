"""What layers are worth, each score by its definition, on an encoder of three."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_prune.masks.state import Masks
from fairseq_prune.network.axes import find_axes
from fairseq_prune.network.layers import leave_out_, left_out
from fairseq_prune.network.weights import Weight
from fairseq_prune.saliency import UNIT_SALIENCIES, Probe
from tests.saliency.toy import batches, sample_of


class Layer(nn.Module):
    """Residual parts as in a Transformer, of a width of 3."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = nn.Module()
        self.self_attn.q_proj, self.self_attn.out_proj = nn.Linear(3, 3), nn.Linear(3, 3)
        self.fc1, self.fc2 = nn.Linear(3, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn.out_proj(self.self_attn.q_proj(x).tanh())
        return F.layer_norm(x + self.fc2(self.fc1(x).relu()), (3,))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Module()
        self.encoder.layers = nn.ModuleList(Layer() for _ in range(3))
        self.out = nn.Linear(3, 5)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.encoder.layers:
            x = layer(x)
        logits: Tensor = self.out(x)
        return logits


def probe_of(model: Net, **more: Any) -> Probe:
    named = dict(model.named_parameters())
    weights = {n: Weight(n, p, n) for n, p in named.items() if p.dim() == 2}
    axes = {axis.name: axis for axis in find_axes(named, {}) if axis.modules}
    return Probe(weights, sample=sample_of(model, batches()), axes=axes, **more)


def scores(name: str, probe: Probe) -> Any:
    (score,) = UNIT_SALIENCIES[name].score(probe).values()
    return score


def test_leave_one_out_is_the_loss_of_the_network_without_the_layer() -> None:
    model = Net()
    found = scores("leave-one-out", probe_of(model)).values
    for number in range(3):
        smaller = Net()
        del smaller.encoder.layers[number]
        with torch.no_grad():
            losses = [F.cross_entropy(smaller(x), y, reduction="sum") for x, y in batches()]
        expected = torch.stack(losses).sum() / sum(len(y) for _, y in batches())
        assert torch.allclose(found[number], expected, rtol=1e-12, atol=0)


def test_angular_distance_is_between_what_comes_in_and_what_goes_out() -> None:
    model = Net()
    found = scores("angular-distance", probe_of(model)).values
    x = torch.cat([rows for rows, _ in batches()])
    for number, layer in enumerate(model.encoder.layers):
        with torch.no_grad():
            y = layer(x)
        cosine = (x * y).sum(dim=1) / (x.norm(dim=1) * y.norm(dim=1))
        assert torch.allclose(found[number], (cosine.arccos() / torch.pi).mean())
        x = y


@pytest.mark.parametrize("name", ["leave-one-out", "angular-distance"])
def test_what_is_gone_takes_no_part_and_nothing_is_disturbed(name: str) -> None:
    model, gone = Net(), "encoder.layers.1"
    probe = probe_of(model)
    masks = Masks(
        {n: torch.zeros_like(w.tensor, dtype=torch.bool) for n, w in probe.weights.items()
         if n.startswith(gone)},
        out={gone},
    )  # fmt: skip
    leave_out_(model, masks.out)
    before = {n: p.clone() for n, p in model.named_parameters()}
    score = scores(name, probe_of(model, masks=masks))
    assert score.alive.tolist() == [True, False, True]
    assert left_out(model) == {gone}
    assert all(p.grad is None and torch.equal(p, before[n]) for n, p in model.named_parameters())
    assert model.training
    assert not any(layer._forward_hooks for layer in model.encoder.layers)


@pytest.mark.parametrize("name", ["leave-one-out", "angular-distance"])
def test_ranks_add_up_their_sums(name: str) -> None:
    from dataclasses import replace

    model = Net()
    probe, first = probe_of(model), batches()[:1]
    assert probe.sample is not None
    twice = replace(probe.sample, batches=first, reduce=lambda tensor: tensor.mul_(2))
    once = replace(probe.sample, batches=first)
    found = [scores(name, replace(probe, sample=one)).values for one in (once, twice)]
    assert torch.allclose(*found)  # a second rank with the same batches changes no mean
