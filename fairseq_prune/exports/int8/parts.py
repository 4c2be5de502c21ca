"""What a network in integers is made of: its shape, and tensors by name."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from fairseq_prune.exports.int8.linear import Layer, codes, dequantised

Maker = Callable[[str, Tensor, Tensor, Tensor | None], Layer]  # of name, weights, scales, bias
ATTENTIONS = ("learned", "dot", "none")  # of fairseq's LSTM, of See et al.'s, without any


@dataclass(frozen=True, kw_only=True)
class Spec:
    """The shape of an LSTM for translation.

    Args:
        encoder: cells of each layer, in each direction.
        directions: 1 or 2.
        reversed: whether the source is read from its end.
        decoder: cells of each layer.
        projects: whether the decoder begins with a projection of the encoder's last states.
        feeds: how many outputs of attention are fed back to the first layer; 0 without.
        attention: one of ATTENTIONS.
        has_fc: whether a layer is between attention and the softmax.
        tied: whether the softmax is the decoder's table of embeddings.
        shared: whether the encoder's table is the decoder's.
        positions: the most tokens of a source and of a target.
        ranges: between which numbers the outputs of a matrix lie, by its name, for those with so
            many blocks of zeros that these are left out.
    """

    encoder: tuple[int, ...]
    directions: int
    reversed: bool
    decoder: tuple[int, ...]
    projects: bool
    feeds: int
    attention: str
    has_fc: bool
    tied: bool
    shared: bool
    positions: tuple[int, int]
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def pack(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def unpack(cls, packed: Any) -> "Spec":
        """What :meth:`pack` gave, from an untrusted file; raises ValueError for anything else."""
        if not isinstance(packed, dict) or set(packed) != set(cls.__dataclass_fields__):
            raise ValueError("its network is not described by the usual properties")
        for name in ("encoder", "decoder", "positions"):
            if not isinstance(packed[name], list) or not all(map(_is_size, packed[name])):
                raise ValueError(f"its {name} is {str(packed[name])[:60]!r}")
        for name in ("reversed", "projects", "has_fc", "tied", "shared"):
            if type(packed[name]) is not bool:
                raise ValueError(f"its {name} is {str(packed[name])[:60]!r}")
        sizes = (packed["directions"] in (1, 2), packed["attention"] in ATTENTIONS,
                 packed["feeds"] == 0 or _is_size(packed["feeds"]),
                 len(packed["positions"]) == 2,
                 0 < len(packed["decoder"]) <= len(packed["encoder"]) <= 1000)  # fmt: skip
        if not all(sizes):
            raise ValueError("its network has impossible sizes")
        ranges = packed["ranges"]
        if not isinstance(ranges, dict) or not all(map(_is_range, ranges.values())):
            raise ValueError(f"its ranges are {str(ranges)[:60]!r}")
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in packed.items()
        }
        return cls(**{**values, "ranges": {name: tuple(ends) for name, ends in ranges.items()}})


def _is_range(value: Any) -> bool:
    is_pair = isinstance(value, list) and len(value) == 2
    return is_pair and all(type(end) is float and math.isfinite(end) for end in value)


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 < value < 1 << 31


@dataclass(frozen=True)
class Parts:
    """The tensors whose names begin alike.

    Args:
        tensors: by their names; those of files are checked here before they reach a kernel.
        make: makes the linear layers.
        prefix: of the names.
        used: names that were asked for.
    """

    tensors: Mapping[str, Tensor]
    make: Maker
    prefix: str = ""
    used: set[str] = field(default_factory=set)

    def __truediv__(self, name: str) -> "Parts":
        return Parts(self.tensors, self.make, f"{self.prefix}{name}.", self.used)

    def tensor(self, name: str, dtype: torch.dtype, *shape: int | None) -> Tensor:
        """One of them; None in ``shape`` is any size.

        Raises ValueError where it is missing, or of another type or shape.
        """
        full = self.prefix + name
        found = self.tensors.get(full)
        if found is None:
            raise ValueError(f"it has no {full}")
        fits = len(found.shape) == len(shape) and all(
            want in (None, have) for want, have in zip(shape, found.shape, strict=True)
        )
        if found.dtype != dtype or not fits:
            raise ValueError(f"its {full} has the shape {tuple(found.shape)}, {found.dtype}")
        self.used.add(full)
        return found

    def matrix(self, name: str, rows: int | None, columns: int | None) -> tuple[Tensor, Tensor]:
        """The int8 weights (rows, columns) of a layer and the scales (rows,)."""
        weight = self.tensor(f"{name}.weight", torch.int8, rows, columns)
        return weight, self.tensor(f"{name}.scale", torch.float32, len(weight))

    def linear(self, name: str, rows: int | None, columns: int | None) -> Layer:
        """A layer, with its bias if it has one."""
        weight, scale = self.matrix(name, rows, columns)
        bias = None
        if f"{self.prefix}{name}.bias" in self.tensors:
            bias = self.tensor(f"{name}.bias", torch.float32, len(weight))
        return self.make(self.prefix + name, weight, scale, bias)

    def table(self, name: str, tokens: int) -> Tensor:
        """A table of embeddings as codes, (tokens, width)."""
        return self.tensor(name, torch.uint8, tokens, None)


def tied_table(weight: Tensor, scale: Tensor) -> tuple[Tensor, float]:
    """The codes of embeddings that are a softmax's matrix, and by what they are divided."""
    return table_of(dequantised(weight, scale))


def table_of(embeddings: Tensor) -> tuple[Tensor, float]:
    """Embeddings (tokens, width) as codes of -1 to 1, and by what they are divided for that."""
    bound = float(embeddings.abs().max()) if embeddings.numel() else 0.0
    bound = bound if bound > 0 else 1.0
    return codes(embeddings / bound), bound
