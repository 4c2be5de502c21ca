"""The rising threshold against the rule written out."""

import torch

from fairseq_prune.pruning.checks import checked
from fairseq_prune.pruning.pruner import Pruner
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.pruning.step import act
from tests.pruning.test_pruner import network, probe

RECIPE = checked(
    Recipe(
        scheme="class-uniform",
        sparsity=0.6,
        schedule="gradual-threshold",
        end=100,
        every=10,
        ramp=40,
    )
)


def test_what_lies_below_the_threshold_goes() -> None:
    tensors = network(1)
    first = act(RECIPE, 0, probe(tensors), None)
    # at level 0 only what is zero anyway
    assert all(not bool(tensors[n][~mask].any()) for n, mask in first.masks.items())
    final = Pruner(RECIPE).update(0.6, probe(tensors))
    for step in (20, 60, 90):
        now = act(RECIPE, step, probe(tensors), first.notes).masks
        level = RECIPE.timetable().level(step)
        for name, mask in now.items():
            cut = max(float(tensors[name].abs()[~final.masks[name]].max()), 0.0)
            below = tensors[name].abs() <= level * cut
            expected = ~(below & ~final.masks[name])  # never more than the scheme would
            assert torch.equal(mask, expected), (name, step)


def test_the_end_is_exact_although_weights_have_grown() -> None:
    tensors = network(2)
    masks, notes = None, None
    for step in range(0, 101, 10):
        masks_before = masks
        done = act(RECIPE, step, probe(tensors, masks), notes)
        masks, notes = done.masks, done.notes
        if masks_before is not None:
            assert all(not bool((masks[n] & ~masks_before[n]).any()) for n in masks)
        tensors = {n: t * 1.5 * masks[n] for n, t in tensors.items()}
    assert masks is not None
    for label in {w.weight_class for w in probe(tensors).weights.values()}:
        members = [n for n, w in probe(tensors).weights.items() if w.weight_class == label]
        total = sum(map(masks.prunable, members))
        assert sum(map(masks.removed, members)) == round(0.6 * total)
