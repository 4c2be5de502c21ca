"""Between which numbers the outputs of a network's matrices lie, measured on training data."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fairseq_prune.data.binarised import open_splits
from fairseq_prune.exports.int8.linear import Int8Linear, Layer
from fairseq_prune.exports.int8.network import Int8LSTM
from fairseq_prune.exports.int8.parts import Spec
from fairseq_prune.exports.int8.sparse_linear import ENOUGH, removed_blocks

SENTENCES = 320
_LONGEST = 200  # tokens: longer sentences are left out
_MARGIN = 0.05  # of what is found, added at each end: other sentences go beyond it
# Of what a sigmoid or a tanh reads: beyond this it is within 0.002 of its end, and a narrower range
# has smaller steps.
_ENOUGH_OF = {"decoder.layers.": 7.0, "decoder.attention.output": 3.5}
# An encoder reads fewer rows, so that little is gained there, and what it rounds costs most: of the
# divergence from outputs that are not rounded, 1.1e-3 of 1.7e-3 nats a token (the quickstart's LSTM
# at 80%).
_SIDE = "decoder."
Pair = tuple[Tensor, Tensor]


def sparse_matrices(tensors: Mapping[str, Tensor]) -> list[str]:
    """The names of a decoder's matrices with so many 1 x 4 blocks of zeros that these are worth
    leaving out."""
    ours = [name for name in tensors if name.startswith(_SIDE) and name.endswith(".weight")]
    return [n.removesuffix(".weight") for n in ours if removed_blocks(tensors[n]) >= ENOUGH]


def training_pairs(data: Path, source: str, target: str, count: int = SENTENCES) -> list[Pair]:
    """Sentences of the training data, evenly spread, source and target, as numbers of tokens.

    Args:
        data: a folder that fairseq-preprocess made.

    Empty where it holds none; raises ValueError where they cannot be read.
    """
    splits = open_splits(data, source, target)
    sides = {split.language: split.sentences for split in splits if split.name == "train"}
    if set(sides) != {source, target}:
        return []
    total = min(map(len, sides.values()))
    numbers = np.linspace(0, total - 1, min(count, total), dtype=int).tolist()
    pairs = [(sides[source][n].long(), sides[target][n].long()) for n in numbers]
    return [pair for pair in pairs if max(map(len, pair)) <= _LONGEST]


def calibrated(
    spec: Spec,
    tensors: Mapping[str, Tensor],
    dictionaries: tuple[Any, Any],
    pairs: Iterable[Pair],
) -> Spec:
    """The network with the ranges of its :func:`sparse_matrices`, and so ready to leave out zeros.

    Args:
        dictionaries: fairseq's, of source and target.
        pairs: what it is made to read and write.
    """
    layers: dict[str, _Watched] = {}

    def make(name: str, *parts: Any) -> Layer:
        return layers.setdefault(name, _Watched(Int8Linear(*parts)))

    network = Int8LSTM(replace(spec, ranges={}), tensors, dictionaries, make)
    with torch.no_grad():
        for source, target in pairs:
            network(source[None], torch.tensor([len(source)]), target.roll(1)[None])
    found = {name: layers[name].ends for name in sparse_matrices(tensors)}
    # one that only reads numbers of any size has none, and no use for it
    ranges = {name: _range(name, *ends) for name, ends in found.items() if ends is not None}
    return replace(spec, ranges={name: ends for name, ends in ranges.items() if ends[0] < ends[1]})


def _range(name: str, low: float, high: float) -> tuple[float, float]:
    """From the least to the largest output of a layer, with a margin, as far as it matters."""
    most = next((m for start, m in _ENOUGH_OF.items() if name.startswith(start)), math.inf)
    more = _MARGIN * (high - low)
    return max(low - more, -most), min(high + more, most)


class _Watched:
    """A layer whose least and largest output are kept, 0 included; None before the first."""

    def __init__(self, layer: Layer) -> None:
        self._layer = layer
        self.ends: tuple[float, float] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        found = self._layer(x)
        low, high = self.ends or (0.0, 0.0)
        self.ends = min(low, float(found.min())), max(high, float(found.max()))
        return found

    def of_any_size(self, x: Tensor) -> Tensor:
        return self._layer.of_any_size(x)

    def of_rows(self, rows: Tensor) -> Layer:
        return self._layer.of_rows(rows)
