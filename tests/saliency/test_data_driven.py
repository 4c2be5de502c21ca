"""Saliencies that look at data, against plain float64 computations of the same definitions."""

import math
import sys
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_prune.masks.state import Masks
from fairseq_prune.network.probing import Sample
from fairseq_prune.network.weights import Weight
from fairseq_prune.saliency import SALIENCIES, Probe
from tests.saliency.toy import Toy, batches, probe_of, sample_of

SHAPES = {"a.weight": (4, 3), "b.weight": (5, 4)}


def plain_loss(flat: Tensor, model: Toy, x: Tensor, y: Tensor, temperature: float = 1.0) -> Tensor:
    """Mean loss as a function of both matrices in one vector, by hand and without dropout."""
    a, b = flat[:12].reshape(4, 3), flat[12:].reshape(5, 4)
    hidden = torch.tanh(x @ a.T + model.a.bias.detach())
    logits = hidden @ b.T + model.b.bias.detach()
    return F.cross_entropy(logits / temperature, y)


def plain() -> tuple[Toy, Tensor, Tensor, Tensor]:
    model = Toy()
    flat = torch.cat([model.a.weight.detach().reshape(-1), model.b.weight.detach().reshape(-1)])
    data = batches()
    x, y = torch.cat([d[0] for d in data]), torch.cat([d[1] for d in data])
    return model, flat, x, y


def flat_scores(name: str, probe: Probe) -> Tensor:
    scores = SALIENCIES[name].score(probe)
    return torch.cat([scores[n].values.reshape(-1) for n in SHAPES])


def gradient_at(flat: Tensor, *rest: Any) -> Tensor:
    point = flat.clone().requires_grad_()
    return torch.autograd.grad(plain_loss(point, *rest), point)[0]


def test_snip_is_weight_times_gradient_of_the_whole_sample() -> None:
    model, flat, x, y = plain()
    expected = (flat * gradient_at(flat, model, x, y)).abs()
    torch.testing.assert_close(flat_scores("snip", probe_of(model, batches())), expected)


def test_snip_does_not_depend_on_how_the_sample_is_batched() -> None:
    model, _, x, y = plain()
    together = flat_scores("snip", probe_of(model, [(x, y)]))
    torch.testing.assert_close(flat_scores("snip", probe_of(model, batches())), together)


def test_taylor_averages_over_batches() -> None:
    model, flat, _, _ = plain()
    parts = [(flat * gradient_at(flat, model, x, y)) ** 2 for x, y in batches()]
    expected = torch.stack(parts).mean(0)
    torch.testing.assert_close(flat_scores("taylor", probe_of(model, batches())), expected)


def test_taylor_of_one_batch_ranks_as_snip() -> None:
    model, _, x, y = plain()
    probe = probe_of(model, [(x, y)])
    torch.testing.assert_close(flat_scores("taylor", probe), flat_scores("snip", probe) ** 2)


def test_grasp_is_weight_times_hessian_times_gradient() -> None:
    model, flat, x, y = plain()
    hessian = torch.autograd.functional.hessian(lambda w: plain_loss(w, model, x, y, 200.0), flat)
    expected = flat * (hessian @ gradient_at(flat, model, x, y, 200.0))
    torch.testing.assert_close(flat_scores("grasp", probe_of(model, batches())), expected)


def test_grasp_keeps_the_sign_of_the_paper() -> None:
    # removing w changes g'g by -2 w (H g) + O(w^2): the smallest scores leave the gradient larger
    model, flat, x, y = plain()
    scores = flat_scores("grasp", probe_of(model, batches()))
    before = gradient_at(flat, model, x, y, 200.0).square().sum()
    small = 1e-4
    for i in range(len(flat)):
        nudged = flat.clone()
        nudged[i] *= 1 - small
        change = gradient_at(nudged, model, x, y, 200.0).square().sum() - before
        assert float(change / (-2 * small)) == pytest.approx(float(scores[i]), rel=1e-2, abs=1e-12)


def test_obd_is_the_mean_over_examples_of_the_squared_gradient() -> None:
    model, flat, x, y = plain()
    rows = [gradient_at(flat, model, x[i : i + 1], y[i : i + 1]) ** 2 for i in range(len(y))]
    expected = 0.5 * torch.stack(rows).mean(0) * flat**2
    torch.testing.assert_close(flat_scores("obd", probe_of(model, batches())), expected)


def quadratic(curvature: Tensor) -> tuple[Probe, Tensor]:
    """L = 1/2 sum h w^2: a Hessian that is known, and diagonal."""
    model = nn.Linear(3, 2, bias=False).double()
    weight = model.weight

    def loss(batch: Any, temperature: float = 1.0) -> tuple[Tensor, float]:
        return 0.5 * (curvature * weight**2).sum() * batch, batch

    weights = {"weight": Weight("weight", weight, "w")}
    return Probe(weights, sample=Sample(model, [2, 3], loss)), weight.detach()


def test_hutchinson_is_exact_on_a_diagonal_hessian() -> None:
    h = torch.tensor([[1.0, 2.0, 3.0], [0.5, -1.0, 4.0]], dtype=torch.float64)
    probe, weight = quadratic(h)
    scores = SALIENCIES["obd-hutchinson"].score(probe)["weight"].values
    torch.testing.assert_close(scores, 0.5 * h * weight**2)


def test_hutchinson_over_orthogonal_signs_is_the_diagonal(monkeypatch: pytest.MonkeyPatch) -> None:
    # 1/n sum z z' is the identity over the columns z of a Hadamard matrix: no error is left
    hadamard = torch.ones(1, 1, dtype=torch.int8)
    for _ in range(5):
        hadamard = torch.cat([torch.cat([hadamard] * 2, 1), torch.cat([hadamard, -hadamard], 1)])
    columns = iter(hadamard.repeat_interleave(2, 0))
    parts = {(4, 3): slice(0, 12), (5, 4): slice(12, 32)}
    module = sys.modules["fairseq_prune.saliency.obd"]
    monkeypatch.setattr(module, "PROBES", 32)
    monkeypatch.setattr(
        module, "_signs", lambda w, _: next(columns)[parts[tuple(w.shape)]].reshape(w.shape)
    )
    model, flat, x, y = plain()
    hessian = torch.autograd.functional.hessian(lambda w: plain_loss(w, model, x, y), flat)
    found = flat_scores("obd-hutchinson", probe_of(model, batches()))
    torch.testing.assert_close(found, 0.5 * hessian.diagonal() * flat**2)


def test_adam_gives_its_second_moments() -> None:
    model = Toy()
    moments = {name: torch.rand(shape) for name, shape in SHAPES.items()}
    probe = probe_of(model, [], second_moments=moments)
    scores = SALIENCIES["obd-adam"].score(probe)
    expected = 0.5 * moments["a.weight"].double() * model.a.weight.detach() ** 2
    torch.testing.assert_close(scores["a.weight"].values, expected)


def test_adam_says_when_there_are_none() -> None:
    with pytest.raises(ValueError, match="needs Adam's second moments"):
        SALIENCIES["obd-adam"].score(probe_of(Toy(), []))


DATA = [name for name, entry in SALIENCIES.items() if entry.needs == "data"]


@pytest.mark.parametrize("name", DATA)
def test_the_network_is_left_as_found(name: str) -> None:
    model = Toy()
    model.b.eval()
    model.a.weight.grad = torch.ones(4, 3, dtype=torch.float64)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    torch.manual_seed(5)
    follows = torch.rand(3)
    torch.manual_seed(5)
    SALIENCIES[name].score(probe_of(model, batches()))
    assert torch.equal(torch.rand(3), follows)
    assert [m.training for m in model.modules()] == [True, True, True, False]
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters())
    assert bool((model.a.weight.grad == 1).all()) and model.b.weight.grad is None


@pytest.mark.parametrize("name", DATA)
def test_scoring_twice_gives_the_same(name: str) -> None:
    model = Toy()
    scores = [flat_scores(name, probe_of(model, batches())) for _ in range(2)]
    assert torch.equal(*scores)


@pytest.mark.parametrize("name", DATA)
def test_an_empty_sample_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="the sample to score on is empty"):
        SALIENCIES[name].score(probe_of(Toy(), []))


@pytest.mark.parametrize("name", DATA)
def test_a_loss_that_is_not_a_number_is_refused(name: str) -> None:
    broken = [(torch.full((2, 3), math.nan, dtype=torch.float64), torch.tensor([0, 1]))]
    with pytest.raises(ValueError, match="the loss of a batch is nan"):
        SALIENCIES[name].score(probe_of(Toy(), broken))


@pytest.mark.parametrize("name", DATA)
def test_without_data_it_says_what_to_do(name: str) -> None:
    model = Toy()
    probe = Probe({"a.weight": Weight("a.weight", model.a.weight, "a")})
    with pytest.raises(ValueError, match="--data DATA"):
        SALIENCIES[name].score(probe)


@pytest.mark.parametrize("name", DATA)
def test_a_tensor_that_the_loss_does_not_see_is_named(name: str) -> None:
    model = Toy()
    model.unused = nn.Linear(2, 2).double()  # type: ignore[assignment]
    weights = {n: Weight(n, model.get_parameter(n), n) for n in ("a.weight", "unused.weight")}
    probe = Probe(weights, sample=sample_of(model, batches()))
    with pytest.raises(ValueError, match=r"the scores of unused\.weight are all zero"):
        SALIENCIES[name].score(probe)
    # a tensor cut off by what was pruned before is not an error: the run goes on
    masks = Masks({n: torch.ones(w.tensor.shape, dtype=torch.bool) for n, w in weights.items()})
    SALIENCIES[name].score(Probe(weights, masks, sample=sample_of(model, batches())))


# grasp reduces twice, the second time from what the first gave: tests/tasks/test_ranks.py has it
@pytest.mark.parametrize("name", [name for name in DATA if name != "grasp"])
def test_ranks_share_the_batches(name: str) -> None:
    model, data = Toy(), batches(4)
    whole = flat_scores(name, probe_of(model, data))
    # the other rank's share, summed in by a stand-in for all_reduce: two passes over the parts
    shares = [data[0::2], data[1::2]]
    recorded: list[list[Tensor]] = [[], []]

    def score(rank: int, reduce: Any) -> Tensor:
        sample = sample_of(model, shares[rank])
        probe = probe_of(model, data)
        both = Sample(model, sample.batches, sample.loss, sample.examples, reduce)
        return flat_scores(name, Probe(probe.weights, sample=both))

    for rank in (0, 1):
        score(rank, lambda tensor, rank=rank: recorded[rank].append(tensor.clone()))
    other = iter(recorded[1])
    torch.testing.assert_close(score(0, lambda tensor: tensor.add_(next(other))), whole)
