"""Pruning step by step: the thresholds that each scheme sets at each sparsity, and who goes when.

Every threshold and count comes from the schemes themselves (fairseq_prune.maths.allocate), as
``fairseq-prune apply`` would prune with the magnitude as saliency.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from fairseq_prune.checkpoints.checkpoint import Opened
from fairseq_prune.maths.allocate import class_distribution
from fairseq_prune.maths.schemes import ALLOCATIONS
from fairseq_prune.maths.score import Scores
from fairseq_prune.maths.select import Budgets, make_masks
from fairseq_prune.network.weights import Weights
from fairseq_prune.saliency import SALIENCIES, Probe

SCHEMES = ("class-blind", "class-uniform", "class-distribution")
LAST = 95  # percent removed at the end
CLASSES = 12  # the most that are shown, the largest ones
BINS = 61  # of a histogram, the middle one around zero
CROP = (64, 96)  # rows and columns of a bitmap
# percent from one step to the next, by how many weights there are to rank at each
PACES = ((300_000, 1.0), (8_000_000, 2.5), (10**18, 5.0))


@dataclass(frozen=True)
class Bitmap:
    """A corner of a matrix.

    Args:
        dies: by scheme, the step at which each weight goes, ``len(sparsities)`` where it stays;
            uint8 of the corner's shape.
    """

    name: str
    shape: tuple[int, int]
    dies: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Animation:
    """All that the animation shows.

    Args:
        sparsities: of the steps, in percent, ascending from 0.
        classes: those shown, with the number of weights in each.
        limit: histograms run from -limit to limit; what is beyond counts in the last bins.
        histograms: by class.
        thresholds: by scheme, (steps, classes): smaller magnitudes go.
        removed: by scheme, (steps, classes): how many have gone.
    """

    sparsities: Sequence[float]
    classes: Mapping[str, int]
    limit: float
    histograms: Mapping[str, Sequence[int]]
    thresholds: Mapping[str, Sequence[Sequence[float]]]
    removed: Mapping[str, Sequence[Sequence[int]]]
    bitmaps: Sequence[Bitmap]

    def as_dict(self) -> dict[str, Any]:
        """For JSON: numbers with five digits, bitmaps as base64 of one byte a weight."""
        return {
            "sparsities": list(self.sparsities),
            "limit": float(f"{self.limit:.5g}"),
            "classes": [
                {"name": name, "weights": size, "bins": list(self.histograms[name])}
                for name, size in self.classes.items()
            ],
            "schemes": [
                {
                    "name": scheme,
                    "thresholds": [[float(f"{t:.5g}") for t in s] for s in self.thresholds[scheme]],
                    "removed": [list(step) for step in self.removed[scheme]],
                }
                for scheme in self.thresholds
            ],
            "bitmaps": [
                {
                    "name": bitmap.name,
                    "shape": list(bitmap.shape),
                    "dies": [
                        base64.b64encode(bitmap.dies[scheme].tobytes()).decode("ascii")
                        for scheme in self.thresholds
                    ],
                }
                for bitmap in self.bitmaps
            ],
        }


def animate(opened: Opened) -> Animation:
    """The animation of a dense checkpoint.

    Raises ValueError where a weight is not a number.
    """
    weights = opened.weights
    total = sum(w.prunable for w in weights.values())
    pace = next(pace for most, pace in PACES if total <= most)
    sparsities = [pace * k for k in range(int(LAST / pace) + 1)]
    sizes: dict[str, int] = {}
    for weight in weights.values():
        sizes[weight.weight_class] = sizes.get(weight.weight_class, 0) + weight.prunable
    largest = sorted(sizes, key=lambda label: -sizes[label])[:CLASSES]
    shown = {label: size for label, size in sizes.items() if label in largest}
    # one class in memory at a time
    limit = max(4.0 * float(_values(opened, label).std()) for label in shown) or 1.0
    scores = SALIENCIES["magnitude"].score(Probe(weights))
    corners = _corners(weights)
    runs = {s: _run(s, scores, opened.classes, sparsities, shown, corners) for s in SCHEMES}
    return Animation(
        sparsities=sparsities,
        classes=shown,
        limit=limit,
        histograms={label: _histogram(_values(opened, label), limit) for label in shown},
        thresholds={s: run.thresholds for s, run in runs.items()},
        removed={s: run.removed for s, run in runs.items()},
        bitmaps=[
            Bitmap(name, corner, {s: run.dies[name] for s, run in runs.items()})
            for name, corner in corners.items()
        ],
    )


@dataclass(frozen=True)
class _Run:
    thresholds: list[list[float]]
    removed: list[list[int]]
    dies: dict[str, np.ndarray]


def _run(
    scheme: str,
    scores: Scores,
    classes: Mapping[str, str],
    sparsities: Sequence[float],
    shown: Mapping[str, int],
    corners: Mapping[str, tuple[int, int]],
) -> _Run:
    """A scheme at every sparsity."""
    pictured = {name: scores[name] for name in corners}
    dies = {name: np.full(corner, len(sparsities), np.uint8) for name, corner in corners.items()}
    thresholds, removed = [], []
    allocate = ALLOCATIONS[scheme].allocate
    for step, percent in enumerate(sparsities):
        budgets = allocate(scores, percent / 100, classes)
        if step == 0 and budgets.found.sigma is not None:  # the same at every sparsity
            allocate = partial(class_distribution, sigma=budgets.found.sigma)
        gone = dict.fromkeys(shown, 0)
        for name, kept in budgets.items():
            if classes[name] in gone:
                gone[classes[name]] += scores[name].numel_prunable - kept
        removed.append(list(gone.values()))
        thresholds.append([_threshold(budgets, label) if gone[label] else 0.0 for label in shown])
        for name, mask in make_masks(pictured, budgets).items():
            rows, columns = dies[name].shape
            away = ~mask.reshape(mask.shape[0], -1)[:rows, :columns].cpu().numpy()
            dies[name][away & (dies[name] > step)] = step
    return _Run(thresholds, removed, dies)


def _corners(weights: Weights) -> dict[str, tuple[int, int]]:
    """The corners to picture: of the largest matrix of the encoder's layers, and the decoder's."""
    chosen = []
    for start in ("source-layer", "target-layer"):
        mine = [w for w in weights.values() if w.weight_class.startswith(start)]
        chosen += sorted(mine, key=lambda w: -w.prunable)[:1]
    found = {}
    for weight in chosen or list(weights.values())[:1]:
        rows, columns = weight.tensor.reshape(weight.tensor.shape[0], -1).shape
        found[weight.name] = (min(rows, CROP[0]), min(columns, CROP[1]))
    return found


def _values(opened: Opened, label: str) -> np.ndarray:
    """All weights of a class, pad rows left out, as float32."""
    parts = []
    for weight in opened.weights.values():
        if weight.weight_class == label:
            flat = weight.effective().reshape(-1).float().cpu().numpy()
            a, b = weight.fixed or (0, 0)
            parts += [flat[:a], flat[b:]]
    return np.concatenate(parts)


def _histogram(values: np.ndarray, limit: float) -> list[int]:
    clipped = np.clip(values, -limit, limit)
    return [int(n) for n in np.histogram(clipped, bins=BINS, range=(-limit, limit))[0]]


def _threshold(budgets: Budgets, label: str) -> float:
    """The magnitude below which a class loses its weights."""
    found = budgets.found
    if found.thresholds is not None:
        return found.thresholds[label]
    if found.lambda_ is not None and found.sigma is not None:
        return found.lambda_ * found.sigma[label]
    assert found.threshold is not None
    return found.threshold
