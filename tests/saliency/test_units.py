"""What units are worth: each score by its definition, on a layer of three neurons."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fairseq_prune.masks.state import Masks
from fairseq_prune.network.axes import find_axes
from fairseq_prune.network.weights import Weight
from fairseq_prune.saliency import UNIT_SALIENCIES, Probe
from tests.saliency.toy import sample_of

LAYER = "encoder.layers.0"
ANY_KIND = {name: entry for name, entry in UNIT_SALIENCIES.items() if entry.only is None}


class Net(nn.Module):
    """x (n, 3) -> relu(A x + a) (n, 4) -> B h + b (n, 5) logits; the tensors as fairseq's."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Module()
        layer = nn.Module()
        layer.fc1, layer.fc2 = nn.Linear(3, 4), nn.Linear(4, 5)
        self.encoder.layers = nn.ModuleList([layer])
        self.gates = torch.ones(4, dtype=torch.float64)
        self.double()

    def hidden(self, x: Tensor) -> Tensor:
        found: Tensor = self.encoder.layers[0].fc1(x).relu() * self.gates
        return found

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.encoder.layers[0].fc2(self.hidden(x))
        return logits


def batches() -> list[tuple[Tensor, Tensor]]:
    draw = torch.Generator().manual_seed(1)
    return [
        (torch.randn(n, 3, generator=draw).double(), torch.randint(0, 5, (n,), generator=draw))
        for n in (40, 60)
    ]


def probe_of(model: Net, **more: Any) -> Probe:
    names = [f"{LAYER}.fc1.weight", f"{LAYER}.fc2.weight"]
    weights = {n: Weight(n, model.get_parameter(n), n) for n in names}
    axes = {axis.name: axis for axis in find_axes(dict(model.named_parameters()), {})}
    return Probe(weights, sample=sample_of(model, batches()), axes=axes, **more)


def scores(name: str, probe: Probe) -> Tensor:
    (score,) = UNIT_SALIENCIES[name].score(probe).values()
    return score.values


def everything(model: Net) -> tuple[Tensor, Tensor, Tensor]:
    """What the neurons put out for all rows, what they are read by, and what comes of it."""
    with torch.no_grad():
        hidden = torch.cat([model.hidden(x) for x, _ in batches()])
        reader = model.encoder.layers[0].fc2
        return hidden, reader.weight, hidden @ reader.weight.T


def test_weights_power() -> None:
    model = Net()
    _, w, _ = everything(model)
    assert torch.allclose(scores("weights-power", probe_of(model)), w.square().sum(dim=0))


def test_goodness_factor() -> None:
    model = Net()
    o, w, _ = everything(model)
    expected = (w[None] * o[:, None, :]).square().sum(dim=(0, 1))
    assert torch.allclose(scores("goodness-factor", probe_of(model)), expected)


def test_consuming_energy_is_signed_and_of_readers_without_bias() -> None:
    model = Net()
    o, w, y = everything(model)
    expected = (w[None] * o[:, None, :] * y[:, :, None]).sum(dim=(0, 1))
    assert torch.allclose(scores("consuming-energy", probe_of(model)), expected)


def test_n2ps() -> None:
    model = Net()
    o, w, _ = everything(model)
    expected = w.abs().sum(dim=0) * o.abs().mean(dim=0)
    assert torch.allclose(scores("n2ps", probe_of(model)), expected)


def test_a_gate_is_the_derivative_of_one() -> None:
    model = Net()
    found = scores("gate", probe_of(model))
    model.gates.requires_grad_(True)
    expected, count = torch.zeros(4).double(), 0
    for x, y in batches():
        for row in range(len(y)):
            loss = nn.functional.cross_entropy(model(x[row : row + 1]), y[row : row + 1])
            expected += torch.autograd.grad(loss, model.gates)[0].abs()
            count += 1
    assert torch.allclose(found, expected / count)


def test_taylor_squares_the_sum_over_the_unit() -> None:
    model = Net()
    expected = torch.zeros(4).double()
    one, two = model.encoder.layers[0].fc1.weight, model.encoder.layers[0].fc2.weight
    for x, y in batches():
        first, second = torch.autograd.grad(nn.functional.cross_entropy(model(x), y), [one, two])
        change = (one * first).sum(dim=1) + (two * second).sum(dim=0)
        expected += change.detach().square() / 2
    assert torch.allclose(scores("taylor", probe_of(model)), expected)


def test_random_depends_on_the_seed_alone() -> None:
    one, same, other = (scores("random", probe_of(Net(), seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_constant_neuron_is_the_least_informative() -> None:
    model = Net()
    with torch.no_grad():
        model.encoder.layers[0].fc1.weight[2] = 0.0
    found = scores("mutual-information", probe_of(model))
    assert sorted(found.tolist()) == [0.25, 0.5, 0.75, 1.0]
    assert int(found.argmin()) == 2


def test_of_two_equal_neurons_one_goes_early() -> None:
    model = Net()
    with torch.no_grad():
        for part in ("weight", "bias"):
            value = getattr(model.encoder.layers[0].fc1, part)
            value[3] = value[0]
    found = scores("mutual-information", probe_of(model))
    assert found[3] == 0.25  # all that it tells, the other tells too; of equals, the last one


@pytest.mark.parametrize("name", ANY_KIND)
def test_what_is_gone_takes_no_part_and_nothing_is_disturbed(name: str) -> None:
    model = Net()
    keep = torch.arange(4) != 1
    masks = Masks({
        f"{LAYER}.fc1.weight": keep[:, None].expand(4, 3).clone(),
        f"{LAYER}.fc2.weight": keep[None].expand(5, 4).clone(),
    })  # fmt: skip
    before = {n: p.clone() for n, p in model.named_parameters()}
    (score,) = UNIT_SALIENCIES[name].score(probe_of(model, masks=masks)).values()
    assert score.alive is not None
    assert score.alive.tolist() == keep.tolist()
    assert all(p.grad is None and torch.equal(p, before[n]) for n, p in model.named_parameters())
    assert model.training


@pytest.mark.parametrize("name", [n for n, e in ANY_KIND.items() if e.needs == "data"])
def test_two_ranks_see_what_one_sees(name: str) -> None:
    model = Net()
    whole = scores(name, probe_of(model))
    probe = probe_of(model)
    assert probe.sample is not None
    parts = [[batch] for batch in batches()]
    shared = ranks(model, probe, parts, name)
    assert torch.allclose(shared, whole)


def ranks(model: Net, probe: Probe, parts: list[Any], name: str) -> Tensor:
    """The scores of two ranks in two threads, whose sums are really shared."""
    from dataclasses import replace
    from threading import Barrier, Thread

    meet, slots = Barrier(2, timeout=60), [torch.zeros(0), torch.zeros(0)]
    found: list[Any] = [None, None]

    def work(rank: int) -> None:
        own = Net()
        own.load_state_dict(model.state_dict())

        def reduce(tensor: Tensor) -> None:
            slots[rank] = tensor.clone()
            meet.wait()
            total = slots[0] + slots[1]
            meet.wait()
            tensor.copy_(total)

        sample = replace(sample_of(own, parts[rank]), reduce=reduce)
        weights = {n: Weight(n, own.get_parameter(n), n) for n in probe.weights}
        found[rank] = scores(name, replace(probe, weights=weights, sample=sample))

    threads = [Thread(target=work, args=(rank,)) for rank in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.equal(found[0], found[1])
    result: Tensor = found[0]
    return result
