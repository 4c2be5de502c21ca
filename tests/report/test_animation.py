"""The animation's numbers are those of the pruner."""

import base64
from pathlib import Path

import numpy as np
import pytest
import torch

from fairseq_prune.checkpoints.checkpoint import Opened
from fairseq_prune.pruning.checks import checked
from fairseq_prune.pruning.pruner import Pruned, Pruner
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.report.animation import SCHEMES, Animation, animate
from fairseq_prune.saliency import Probe
from fairseq_prune.tasks.opening import open_checkpoint
from tests.report import tiny


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return open_checkpoint(tiny.dense(tmp_path_factory.mktemp("dense") / "dense.pt"))


@pytest.fixture(scope="module")
def made(opened: Opened) -> Animation:
    return animate(opened)


def pruned(opened: Opened, scheme: str, percent: float) -> Pruned:
    recipe = checked(Recipe(scheme=scheme, sparsity=percent / 100))
    return Pruner(recipe).update(percent / 100, Probe(opened.weights))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("step", [10, 55, 95])
def test_counts_thresholds_and_bitmaps_are_those_of_apply(
    opened: Opened, made: Animation, scheme: str, step: int
) -> None:
    masks = pruned(opened, scheme, made.sparsities[step]).masks
    for k, label in enumerate(made.classes):
        mine = [n for n, w in opened.weights.items() if w.weight_class == label]
        assert made.removed[scheme][step][k] == sum(masks.removed(n) for n in mine)
        threshold = made.thresholds[scheme][step][k]
        for name in mine:
            size = opened.weights[name].tensor.abs().double()
            away = size[~masks[name]]
            assert bool((away <= threshold * (1 + 1e-12)).all())
            kept = masks[name].clone().reshape(-1)
            kept[slice(*(masks.fixed.get(name) or (0, 0)))] = False
            assert bool((size.reshape(-1)[kept] >= threshold * (1 - 1e-12)).all())
    for bitmap in made.bitmaps:
        rows, columns = bitmap.shape
        left = masks[bitmap.name][:rows, :columns].numpy()
        assert np.array_equal(bitmap.dies[scheme] > step, left)


def test_histograms_hold_every_weight_that_can_be_pruned(opened: Opened, made: Animation) -> None:
    for label, size in made.classes.items():
        assert sum(made.histograms[label]) == size
    assert sum(made.classes.values()) == sum(w.prunable for w in opened.weights.values())


def test_it_starts_with_nothing_removed_and_never_gives_back(made: Animation) -> None:
    for scheme in SCHEMES:
        counts = np.array(made.removed[scheme])
        assert not counts[0].any() and (np.diff(counts, axis=0) >= 0).all()
        assert (np.diff(np.array(made.thresholds[scheme]), axis=0) >= 0).all()


def test_what_goes_into_the_page_can_be_read_back(made: Animation) -> None:
    content = made.as_dict()
    bitmap = made.bitmaps[0]
    bits = np.frombuffer(base64.b64decode(content["bitmaps"][0]["dies"][1]), np.uint8)
    assert np.array_equal(bits.reshape(bitmap.shape), bitmap.dies[SCHEMES[1]])
    assert content["schemes"][2]["removed"][95] == made.removed[SCHEMES[2]][95]


def test_a_model_without_layers_of_known_names_has_a_bitmap_too(tmp_path: Path) -> None:
    from tests.cli.models import checkpoint, write

    state = {"odd.weight": torch.randn(4, 3, generator=torch.Generator().manual_seed(1))}
    opened = open_checkpoint(write(tmp_path / "odd.pt", {**checkpoint(), "model": state}))
    assert [(b.name, b.shape) for b in animate(opened).bitmaps] == [("odd.weight", (4, 3))]
