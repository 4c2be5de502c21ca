"""SynFlow against the product of the layers written out, and what its rounds are for."""

from dataclasses import replace
from functools import reduce

import pytest
import torch
from torch import Tensor, nn

from fairseq_prune.network.linearise import linear_copy, normalised_copy
from fairseq_prune.network.weights import Weight
from fairseq_prune.pruning.checks import checked
from fairseq_prune.pruning.pruner import Pruner
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.saliency import SALIENCIES, Probe
from fairseq_prune.saliency.probe import Flow

WIDTHS = (6, 40, 3, 40, 5)


def chain() -> nn.Sequential:
    torch.manual_seed(0)
    pairs = zip(WIDTHS, WIDTHS[1:], strict=False)
    return nn.Sequential(*(layer for a, b in pairs for layer in (nn.Linear(a, b), nn.ReLU())))


def probe_of(model: nn.Sequential) -> Probe:
    def run(network: nn.Module) -> Tensor:
        output: Tensor = network(torch.ones(1, WIDTHS[0], dtype=torch.float64))
        return output

    weights = {n: Weight(n, p, n) for n, p in model.named_parameters() if n.endswith("weight")}
    return Probe(weights, flow=Flow(linear_copy(model), run))


def test_scores_are_the_paths_through_a_weight() -> None:
    model = chain()
    probe = probe_of(model)
    sizes = [w.tensor.detach().double().abs() for w in probe.weights.values()]
    scores = SALIENCIES["synflow"].score(probe)
    for i, score in enumerate(scores.values()):
        below = reduce(lambda x, w: w @ x, sizes[:i], torch.ones(WIDTHS[0], dtype=torch.float64))
        above = reduce(lambda x, w: w.T @ x, sizes[:i:-1], torch.ones(WIDTHS[-1]).double())
        torch.testing.assert_close(score.values, above[:, None] * sizes[i] * below[None, :])


@pytest.mark.parametrize("saliency", ["synflow", "magnitude"])
def test_a_chain_is_not_cut_at_the_highest_sparsity(saliency: str) -> None:
    # with as many weights left as there are layers, only a path through all of them will do
    probe = probe_of(chain())
    total = sum(w.tensor.numel() for w in probe.weights.values())
    sparsity = 1 - 4.2 / total
    recipe = checked(Recipe(scheme="class-blind", saliency=saliency, sparsity=sparsity))
    masks = Pruner(recipe).update(sparsity, probe).masks
    assert sum(int(m.sum()) for m in masks.values()) == 4
    whole = all(bool(mask.any()) for mask in masks.values())
    assert whole == (saliency == "synflow")


# --------------------------------------------------------- two inputs of unequal depth
class TwoInputs(nn.Module):
    """A source that goes through two layers, and a target that goes through one, are added."""

    def __init__(self, times: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first = nn.Linear(3, 5, bias=False)
        self.second = nn.Linear(5, 4, bias=False)
        self.target = nn.Linear(3, 4, bias=False)
        self.out = nn.Linear(4, 6, bias=False)
        with torch.no_grad():
            self.target.weight.mul_(times)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.out(self.second(self.first(x)) + self.target(x))
        return found


def two_inputs(model: nn.Module) -> Probe:
    def run(network: nn.Module) -> Tensor:
        output: Tensor = network(torch.ones(1, 3, dtype=torch.float64))
        return output

    weights = {n: Weight(n, p, n) for n, p in model.named_parameters()}
    linear, gates = normalised_copy(model)
    return Probe(weights, flow=Flow(linear, run, gates))


def mean_one(x: Tensor) -> Tensor:
    return x / x.mean()


def test_each_matrix_has_an_equal_share_in_a_product_of_two_inputs() -> None:
    model, ones = TwoInputs(), torch.ones(3, dtype=torch.float64)
    first, second, target, out = (p.detach().double().abs() for p in model.parameters())
    one, other = mean_one(first @ ones), mean_one(target @ ones)
    source = mean_one(second @ one)
    to = out.sum(0) / (out @ (source + other)).mean()  # what flows from a unit to the output
    total = float(to @ (source + other))
    assert total == pytest.approx(6)  # outputs with a mean of one
    along_source, along_target = float(to @ source), float(to @ other)
    # the paths through `out` are all of them, those through the source's two layers are the same
    of_source = total / 4 * (1 / total + 2 / along_source)
    of_target = total / 4 * (1 / total + 1 / along_target)
    scores = {n: s.values for n, s in SALIENCIES["synflow"].score(two_inputs(model)).items()}
    torch.testing.assert_close(
        scores["target.weight"], of_target * to[:, None] * target / (target @ ones).mean()
    )
    torch.testing.assert_close(
        scores["second.weight"], of_source * to[:, None] * second * one / (second @ one).mean()
    )
    back = to @ (second / (second @ one).mean())
    torch.testing.assert_close(
        scores["first.weight"], of_source * back[:, None] * first / (first @ ones).mean()
    )
    torch.testing.assert_close(
        scores["out.weight"].sum(0), to * (of_source * source + of_target * other)
    )


def test_every_cut_carries_the_same_and_every_matrix_its_share() -> None:
    probe = two_inputs(TwoInputs())
    s = {n.split(".")[0]: v.values for n, v in SALIENCIES["synflow"].score(probe).items()}
    total = s["out"].sum()
    for cut in (s["first"].sum() + s["target"].sum(), s["second"].sum() + s["target"].sum()):
        torch.testing.assert_close(cut, total)
    assert all(float(values.sum()) >= float(total) / 4 for values in s.values())
    # and in each hidden unit what comes in goes out
    torch.testing.assert_close(s["first"].sum(1), s["second"].sum(0))
    torch.testing.assert_close(s["second"].sum(1) + s["target"].sum(1), s["out"].sum(0))


def test_how_large_an_input_is_does_not_matter() -> None:
    found, tiny = (SALIENCIES["synflow"].score(two_inputs(TwoInputs(t))) for t in (1.0, 2.0**-40))
    for name, score in found.items():
        torch.testing.assert_close(score.values, tiny[name].values)


@pytest.mark.parametrize("left", [16, 12, 8])
def test_neither_input_is_cut_off_at_the_highest_sparsity(left: int) -> None:
    # 16, the square of the number of matrices, are always enough
    probe = two_inputs(TwoInputs(1e-6))
    sparsity = 1 - (left + 0.2) / sum(w.tensor.numel() for w in probe.weights.values())
    recipe = checked(Recipe(scheme="class-blind", saliency="synflow", sparsity=sparsity))
    masks = {n.split(".")[0]: m for n, m in Pruner(recipe).update(sparsity, probe).masks.items()}
    assert sum(int(m.sum()) for m in masks.values()) == left
    assert all(bool(m.any()) for m in masks.values())
    # and no weight is left that leads nowhere
    assert torch.equal(masks["first"].any(1), masks["second"].any(0))
    assert torch.equal(masks["second"].any(1) | masks["target"].any(1), masks["out"].any(0))


def test_in_a_chain_the_product_ranks_as_the_sum_does() -> None:
    plain, (linear, gates) = probe_of(chain()), normalised_copy(chain())
    product = replace(plain, flow=replace(plain.linear, model=linear, gates=gates))
    one, other = (SALIENCIES["synflow"].score(probe) for probe in (plain, product))
    ratio = one["0.weight"].values.sum() / other["0.weight"].values.sum()
    for name, score in one.items():
        torch.testing.assert_close(score.values, ratio * other[name].values)


def test_without_the_network_it_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="--data DATA"):
        SALIENCIES["synflow"].score(Probe({"w": Weight("w", torch.ones(2, 2), "c")}))
