"""SET and RigL, one exchange at a time, against the rule written out."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fairseq_prune.masks.state import Masks
from fairseq_prune.network.probing import Sample
from fairseq_prune.network.weights import find
from fairseq_prune.pruning.checks import checked
from fairseq_prune.pruning.notes import Notes
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.pruning.step import act
from fairseq_prune.saliency import Probe

PAD = 2


class Toy(nn.Module):
    """A table with a pad row and a matrix; the loss is linear, so that gradients are known."""

    def __init__(self) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(1)
        self.embed_tokens = nn.Parameter(torch.randn(6, 4, generator=draw))
        self.fc = nn.Parameter(torch.randn(8, 4, generator=draw))
        self.slopes = [torch.randn(6, 4, generator=draw), torch.randn(8, 4, generator=draw)]

    def loss(self, batch: Any, temperature: float = 1.0) -> tuple[Tensor, float]:
        parts = zip((self.embed_tokens, self.fc), self.slopes, strict=True)
        return sum((w * s).sum() for w, s in parts), 1.0  # type: ignore[return-value]


def make(growth: str, batches: Sequence[int] = (0,)) -> tuple[Toy, Recipe, Probe]:
    model = Toy()
    weights = find(dict(model.named_parameters()).items(), {"embed_tokens": PAD})
    recipe = checked(
        Recipe(scheme="class-uniform", sparsity=0.5, schedule=growth, end=400, every=100, drop=0.4)
    )
    return model, recipe, Probe(weights, None, 1, Sample(model, batches, model.loss))


def largest(values: Tensor, among: Tensor, count: int) -> set[int]:
    """Flat indices of the largest ``count`` where ``among``; ties to the lower index."""
    places = [int(i) for i in torch.nonzero(among.reshape(-1))]
    return set(sorted(places, key=lambda i: (-float(values.reshape(-1)[i]), i))[:count])


def test_rigl_drops_the_smallest_and_grows_along_the_gradient() -> None:
    model, recipe, probe = make("rigl")
    first = act(recipe, 0, probe, None)
    seen = Probe(probe.weights, first.masks, 1, probe.sample)
    after = act(recipe, 200, seen, first.notes)
    for (name, weight), slope in zip(probe.weights.items(), model.slopes, strict=True):
        before = first.masks[name]
        fixed = torch.zeros_like(before).reshape(-1)
        if weight.fixed:
            fixed[slice(*weight.fixed)] = True
        fixed = fixed.reshape(before.shape)
        alive = before & ~fixed
        moved = round(0.2 * int(alive.sum()))  # half of the way down the cosine
        stay = largest(weight.tensor.detach().abs(), alive, int(alive.sum()) - moved)
        rest = ~fixed.reshape(-1)
        rest[list(stay)] = False
        come = largest(slope.abs(), rest, moved)
        kept = {int(i) for i in torch.nonzero((after.masks[name] & ~fixed).reshape(-1))}
        assert kept == stay | come
        assert moved > 0 and kept != {int(i) for i in torch.nonzero(alive.reshape(-1))}
        assert bool(after.masks[name][fixed].all())


@pytest.mark.parametrize("growth", ["set", "rigl"])
def test_each_tensor_keeps_its_count(growth: str) -> None:
    _, recipe, probe = make(growth)
    first = act(recipe, 0, probe, None)
    masks, notes = first.masks, first.notes
    for step in (100, 200, 300):
        done = act(recipe, step, Probe(probe.weights, masks, 1, probe.sample), notes)
        assert {n: done.masks.removed(n) for n in masks} == {n: masks.removed(n) for n in masks}
        assert growth == "rigl" or done.masks.digest() != masks.digest()
        masks, notes = done.masks, done.notes


def test_set_draws_by_seed_and_step() -> None:
    _, recipe, probe = make("set")
    first = act(recipe, 0, probe, None)

    def digest(step: int, seed: int) -> str:
        seen = Probe(probe.weights, first.masks, seed)
        return act(recipe, step, seen, first.notes).masks.digest()

    assert digest(100, 1) == digest(100, 1)
    assert len({digest(100, 1), digest(101, 1), digest(100, 2)}) == 3


def test_a_dense_tensor_is_left_alone_and_an_emptied_one_stays_empty() -> None:
    _, recipe, probe = make("set")
    masks = {
        "embed_tokens": torch.ones(6, 4, dtype=torch.bool),
        "fc": torch.zeros(8, 4, dtype=torch.bool),
    }
    held = Masks(masks, {n: w.fixed for n, w in probe.weights.items() if w.fixed})
    after = act(recipe, 100, Probe(probe.weights, held, 1), Notes()).masks
    assert after.digest() == held.digest()
