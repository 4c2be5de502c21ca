"""The pruner against the schemes written out on plain arrays."""

import numpy as np
import pytest
import torch

from fairseq_prune.masks.state import Masks
from fairseq_prune.maths.select import Score, round_count
from fairseq_prune.network.weights import find
from fairseq_prune.pruning.checks import checked
from fairseq_prune.pruning.pruner import Pruner, merge_extremes
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.saliency import Probe

SHAPES = {
    "encoder.embed_tokens.weight": (11, 4),
    "encoder.lstm.weight_ih_l0": (16, 4),
    "encoder.lstm.weight_hh_l0": (16, 4),
    "decoder.fc_out.weight": (11, 4),
}


def network(seed: int) -> dict[str, torch.Tensor]:
    """Weights with many equal magnitudes, of a different spread in each tensor."""
    draw = torch.Generator().manual_seed(seed)
    return {
        name: torch.round(torch.randn(shape, generator=draw) * 4) / 8 * (i + 1)
        for i, (name, shape) in enumerate(SHAPES.items())
    }


def probe(tensors: dict[str, torch.Tensor], masks: Masks | None = None) -> Probe:
    weights = find(tensors.items(), {"encoder.embed_tokens.weight": 1})
    return Probe(weights, masks)


def expected(
    tensors: dict[str, torch.Tensor], scheme: str, sparsity: float
) -> dict[str, np.ndarray]:
    """Which weights a scheme keeps, by one stable sort over all that compete."""
    weights = probe(tensors).weights
    groups: dict[str, list[str]] = {}
    for name, w in weights.items():
        groups.setdefault(w.weight_class if scheme == "class-uniform" else "all", []).append(name)
    alive = {n: np.ones(t.numel(), bool) for n, t in tensors.items()}
    alive["encoder.embed_tokens.weight"][4:8] = False
    values = {n: t.double().numpy().reshape(-1) for n, t in tensors.items()}
    if scheme == "class-distribution":
        for label in {w.weight_class for w in weights.values()}:
            members = [n for n, w in weights.items() if w.weight_class == label]
            sigma = np.std(np.concatenate([values[n][alive[n]] for n in members]), ddof=1)
            for n in members:
                values[n] = values[n] / sigma
    kept = {n: np.ones(t.numel(), bool) for n, t in tensors.items()}
    for members in groups.values():
        where = [(n, i) for n in members for i in np.flatnonzero(alive[n])]
        keys = np.array([abs(values[n][i]) for n, i in where])
        keep = len(where) - round(sparsity * len(where))
        order = np.argsort(-keys, kind="stable")
        for j in order[keep:]:
            kept[where[j][0]][where[j][1]] = False
    return {n: k.reshape(SHAPES[n]) for n, k in kept.items()}


@pytest.mark.parametrize("scheme", ["class-blind", "class-uniform", "class-distribution"])
@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.5, 0.8, 0.97])
@pytest.mark.parametrize("seed", [1, 2])
def test_each_scheme_keeps_what_a_plain_sort_keeps(scheme: str, sparsity: float, seed: int) -> None:
    tensors = network(seed)
    pruned = Pruner(Recipe(scheme=scheme)).update(sparsity, probe(tensors))
    reference = expected(tensors, scheme, sparsity)
    for name in tensors:
        assert np.array_equal(pruned.masks[name].numpy(), reference[name]), name


@pytest.mark.parametrize("scheme", ["class-blind", "class-uniform", "class-distribution", "erk"])
@pytest.mark.parametrize("saliency", ["magnitude", "random"])
def test_masks_only_shrink(scheme: str, saliency: str) -> None:
    tensors = network(3)
    pruner = Pruner(Recipe(scheme=scheme, saliency=saliency))
    before = pruner.update(0.4, probe(tensors)).masks
    after = pruner.update(0.7, probe(tensors, before)).masks
    again = pruner.update(0.2, probe(tensors, after)).masks
    assert all(not bool((after[n] & ~before[n]).any()) for n in tensors)
    assert again.digest() == after.digest()


@pytest.mark.parametrize("scheme", ["class-blind", "class-distribution", "erk"])
def test_the_count_is_exact(scheme: str) -> None:
    tensors = network(4)
    masks = Pruner(Recipe(scheme=scheme)).update(0.8, probe(tensors)).masks
    total = sum(map(masks.prunable, masks))
    assert total == sum(t.numel() for t in tensors.values()) - 4
    assert sum(map(masks.removed, masks)) == round(0.8 * total)


def test_random_depends_on_its_seed_alone() -> None:
    recipe = Recipe(scheme="class-blind", saliency="random")
    tensors = network(5)
    weights = probe(tensors).weights
    digests = {
        seed: Pruner(recipe).update(0.5, Probe(weights, None, seed)).masks.digest()
        for seed in (1, 2)
    }
    other = probe(network(6)).weights
    assert digests[1] != digests[2]
    assert Pruner(recipe).update(0.5, Probe(other, None, 1)).masks.digest() == digests[1]


def test_lambda_is_where_each_class_is_cut() -> None:
    tensors = network(7)
    pruned = Pruner(Recipe(scheme="class-distribution")).update(0.6, probe(tensors))
    for name, w in probe(tensors).weights.items():
        cut = pruned.notes.lambda_ * pruned.notes.sigma[w.weight_class]
        removed, kept = pruned.extremes[name]
        assert removed is None or removed <= cut * (1 + 1e-12)
        assert kept is None or kept >= cut * (1 - 1e-12)


def test_extremes_remember_the_largest_that_ever_went() -> None:
    merged = merge_extremes({"a": (0.5, 0.6)}, {"a": (0.2, 0.7), "b": (None, 0.1)})
    assert merged == {"a": (0.5, 0.7), "b": (None, 0.1)}


@pytest.mark.parametrize("scheme", ["class-blind", "class-uniform", "class-distribution"])
@pytest.mark.parametrize("structure", ["row", "block:2x2"])
def test_blocks_are_counted_exactly_and_shrink(scheme: str, structure: str) -> None:
    tensors = network(3)
    pruner = Pruner(checked(Recipe(scheme=scheme, structure=structure, sparsity=0.4)))
    groups = pruner.recipe.groups()
    before = pruner.update(0.4, probe(tensors)).masks
    after = pruner.update(0.6, probe(tensors, before)).masks
    counts = [groups.count(m, after.fixed.get(n)) for n, m in after.items()]
    if scheme == "class-blind":
        total = sum(t for t, _ in counts)
        assert sum(gone for _, gone in counts) == round_count(0.6, total)
    for name in after:
        assert not bool((after[name] & ~before[name]).any())
        tiles = groups.pool(Score(after[name].double(), fixed=after.fixed.get(name)))
        assert bool(((tiles.values == 0) | (tiles.values == 1)).all())


def test_n_of_m_prunes_every_group() -> None:
    tensors = {"fc.weight": torch.randn(6, 8)}
    weights = find(tensors.items(), {})
    recipe = checked(Recipe(scheme="class-uniform", structure="2:4"))
    assert recipe.resolved.sparsity == 0.5
    masks = Pruner(recipe).update(0.5, Probe(weights)).masks
    assert masks["fc.weight"].reshape(-1, 4).sum(1).tolist() == [2] * 12


def test_a_structure_of_single_weights_is_no_structure() -> None:
    plain, said = checked(Recipe(scheme="erk")), checked(Recipe(scheme="erk", structure="weight"))
    assert plain.settings == said.settings and plain.signature() == said.signature()


@pytest.mark.parametrize("scheme", ["class-blind", "class-uniform", "class-distribution"])
@pytest.mark.parametrize("structure", [None, "block:2x2"])
def test_ratios_keep_as_many_in_each_tensor_and_choose_others(
    scheme: str, structure: str | None
) -> None:
    tensors = network(8)
    recipe = Recipe(scheme=scheme, structure=structure)
    model = Pruner(recipe).update(0.6, probe(tensors)).masks
    matched = Recipe(scheme=scheme, structure=structure, saliency="random", ratios="magnitude")
    found = Pruner(checked(matched)).update(0.6, probe(tensors)).masks
    groups = recipe.groups()
    for name in model:
        fixed = model.fixed.get(name)
        assert groups.count(found[name], fixed) == groups.count(model[name], fixed)
    assert found.digest() != model.digest()
    # the best by magnitude, as many as magnitude would keep: magnitude itself
    same = Recipe(scheme=scheme, structure=structure, saliency="magnitude", ratios="random")
    randoms = Recipe(scheme=scheme, structure=structure, saliency="random")
    counts = Pruner(randoms).update(0.6, probe(tensors)).masks
    kept = Pruner(checked(same)).update(0.6, probe(tensors)).masks
    for name, mask in kept.items():
        fixed = model.fixed.get(name)
        assert groups.count(mask, fixed) == groups.count(counts[name], fixed)
        worth = groups.pool(Score(tensors[name].abs().double(), fixed=fixed)).values.reshape(-1)
        alive = groups.pool(Score(mask.double(), fixed=fixed)).values.reshape(-1) > 0
        if structure is None and fixed:
            alive[slice(*fixed)], worth[slice(*fixed)] = True, float("inf")
        assert float(worth[alive].min()) >= float(worth[~alive].max())
