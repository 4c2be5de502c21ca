"""A slow, plain ranking to hold the fast one against, and scores to try both on."""

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from fairseq_prune.maths.select import Score, Scores

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def keys_of(score: Score) -> np.ndarray:
    """All keys of a score in float64, flat; -inf for those gone or fixed."""
    values = score.values.to(torch.float64).reshape(-1).numpy()
    keys = (np.abs(values) if score.absolute else values) / score.scale + 0.0
    gone = (values == -np.inf) & (not score.absolute)
    if score.alive is not None:
        gone |= ~score.alive.reshape(-1).numpy()
    if score.fixed is not None:
        gone[slice(*score.fixed)] = True
    return np.where(gone, -np.inf, keys)


def ranked_masks(scores: Scores, keep: int) -> dict[str, Tensor]:
    """The masks of the `keep` largest keys by a stable sort of the concatenation."""
    keys = {name: keys_of(score) for name, score in scores.items()}
    together = np.concatenate([*keys.values()])
    order = np.argsort(-together, kind="stable")[:keep]
    flat = np.zeros(len(together), bool)
    flat[order] = True
    masks, start = {}, 0
    for name, score in scores.items():
        mask = flat[start : start + score.values.numel()].copy()
        start += score.values.numel()
        if score.fixed is not None:
            mask[slice(*score.fixed)] = True
        masks[name] = torch.from_numpy(mask).reshape(score.values.shape)
    return masks


def alive_in(scores: Scores) -> int:
    """How many elements of all scores can be kept."""
    return int(sum((keys_of(score) > -np.inf).sum() for score in scores.values()))


def draw_score(random: np.random.Generator, shape: tuple[int, int]) -> Score:
    """A score with some of: ties, zeros, infinities, dead elements, a fixed range, any dtype."""
    values = random.normal(size=shape) * random.choice([0.1, 1.0, 3.0])
    if random.random() < 0.4:
        values = np.round(values * random.choice([1, 3]))
    for special, often in ((0.0, 0.4), (-0.0, 0.1), (np.inf, 0.05), (-np.inf, 0.1)):
        if random.random() < 0.2:
            values[random.random(shape) < often] = special
    alive = torch.from_numpy(random.random(shape) < 0.7) if random.random() < 0.4 else None
    start, stop = sorted(random.integers(0, values.size + 1, 2).tolist())
    return Score(
        torch.from_numpy(values).to(FLOATS[random.integers(4)]),
        absolute=bool(random.random() < 0.5),
        scale=float(random.choice([1.0, 0.3, 1e-3, 7e5])),
        alive=alive,
        fixed=(start, stop) if random.random() < 0.3 else None,
    )


@st.composite
def rankings(draw: st.DrawFn) -> tuple[dict[str, Score], int]:
    """Small scores by name, and how many to keep of them."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.integers(1, 4))
    shapes = [(draw(st.integers(0, 12)), draw(st.integers(1, 12))) for _ in range(count)]
    scores = {f"t{i}": draw_score(random, shape) for i, shape in enumerate(shapes)}
    return scores, draw(st.integers(0, alive_in(scores)))
