"""Controls keep the counts and nothing else."""

import torch

from fairseq_prune.masks.controls import inverted, overlap, random_by_class, shuffled
from fairseq_prune.masks.state import Masks

FIXED = {"a": (4, 8)}
CLASSES = {"a": "x", "b": "x", "c": "y"}


def example() -> Masks:
    draw = torch.Generator().manual_seed(0)
    masks = {
        name: torch.rand(shape, generator=draw) < 0.4
        for name, shape in (("a", (20, 4)), ("b", (10, 10)), ("c", (6, 9)))
    }
    masks["a"].reshape(-1)[4:8] = True
    return Masks(masks, FIXED)


def test_a_shuffle_keeps_each_tensors_count() -> None:
    masks = example()
    for seed in range(3):
        mixed = shuffled(masks, seed)
        assert [mixed.removed(n) for n in masks] == [masks.removed(n) for n in masks]
        assert not any(torch.equal(mixed[n], masks[n]) for n in masks)
        assert bool(mixed["a"].reshape(-1)[4:8].all())
    assert shuffled(masks, 1).digest() == shuffled(masks, 1).digest()
    assert shuffled(masks, 1).digest() != shuffled(masks, 2).digest()


def test_random_keeps_each_classs_count() -> None:
    masks = example()
    drawn = random_by_class(masks, CLASSES, 1)
    assert drawn.removed("c") == masks.removed("c")
    assert drawn.removed("a") + drawn.removed("b") == masks.removed("a") + masks.removed("b")
    counts = {random_by_class(masks, CLASSES, seed).removed("a") for seed in range(9)}
    assert len(counts) > 1  # within a class, tensors differ
    assert drawn.digest() != masks.digest() and bool(drawn["a"].reshape(-1)[4:8].all())


def test_an_inversion_keeps_the_smallest() -> None:
    masks = example()
    weights = {name: torch.randn(mask.shape) for name, mask in masks.items()}
    turned = inverted(masks, weights)
    for name, mask in turned.items():
        assert turned.removed(name) == masks.removed(name)
        free = torch.ones(mask.shape, dtype=torch.bool)
        if name in FIXED:
            free.reshape(-1)[slice(*FIXED[name])] = False
        size = weights[name].abs()
        assert float(size[mask & free].max()) <= float(size[~mask].min())


def test_an_overlap_is_of_what_can_be_pruned() -> None:
    masks = example()
    turned = inverted(masks, {name: mask.double() for name, mask in masks.items()})
    both = kept = 0.0
    for name, mask in masks.items():
        a, b = mask.double().flatten().tolist(), turned[name].double().flatten().tolist()
        free = [i for i in range(len(a)) if not (name in FIXED and 4 <= i < 8)]
        both += sum(a[i] * b[i] for i in free)
        kept += sum(b[i] for i in free)
    assert overlap(turned, masks) == both / kept
    assert overlap(masks, masks) == 1.0


def test_only_the_pad_row_in_common_is_no_overlap() -> None:
    one, other = torch.zeros(4, 3, dtype=torch.bool), torch.zeros(4, 3, dtype=torch.bool)
    one[1], other[1], one[2], other[3] = True, True, True, True
    fixed = {"a": (3, 6)}
    assert overlap(Masks({"a": one}, fixed), Masks({"a": other}, fixed)) == 0.0


def test_what_keeps_nothing_overlaps_with_nothing() -> None:
    none = Masks({"a": torch.zeros(2, 2, dtype=torch.bool)})
    assert overlap(none, none) == 0.0
