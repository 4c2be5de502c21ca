"""SynFlow against the product of the layers written out, and what its rounds are for."""

from functools import reduce

import pytest
import torch
from torch import Tensor, nn

from fairseq_prune.network.linearise import linear_copy
from fairseq_prune.network.weights import Weight
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
    recipe = Recipe(scheme="class-blind", saliency=saliency, sparsity=sparsity).check()
    masks = Pruner(recipe).update(sparsity, probe).masks
    assert sum(int(m.sum()) for m in masks.values()) == 4
    whole = all(bool(mask.any()) for mask in masks.values())
    assert whole == (saliency == "synflow")


def test_without_the_network_it_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="--data DATA"):
        SALIENCIES["synflow"].score(Probe({"w": Weight("w", torch.ones(2, 2), "c")}))
