"""Masks: an immutable, checked record of which weights are kept."""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor


def pack_bits(mask: Tensor) -> Tensor:
    """The mask as a flat uint8 tensor, eight weights a byte, first weight in the highest bit."""
    flat = mask.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return torch.from_numpy(np.packbits(flat.numpy()))


def unpack_bits(bits: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The bool mask of ``shape`` that :func:`pack_bits` packed."""
    flat = np.unpackbits(bits.cpu().numpy(), count=math.prod(shape))
    return torch.from_numpy(flat).view(torch.bool).reshape(shape)


class Masks(Mapping[str, Tensor]):
    """Weight name -> bool mask of the weight's shape; True is kept. Cannot be changed.

    Args:
        masks: the masks. They are not copied: whoever builds a Masks gives them away.
        fixed: flat range ``[a, b)`` of each tensor that is never pruned (its pad row): True in
            the mask, and not counted as prunable.
        out: the layers, as modules by name, that are gone as a whole: they are not run, so that
            their biases and normalisation have no effect either.

    Raises ValueError for a mask that is not bool, or that prunes inside its fixed range.
    """

    def __init__(
        self,
        masks: Mapping[str, Tensor],
        fixed: Mapping[str, tuple[int, int]] | None = None,
        out: Iterable[str] = (),
    ) -> None:
        self._masks = MappingProxyType(dict(masks))
        self._removed: dict[str, int] = {}  # counted once, as the masks never change
        self._digest = ""
        self.fixed: Mapping[str, tuple[int, int]] = MappingProxyType(
            {name: (int(a), int(b)) for name, (a, b) in (fixed or {}).items()}
        )
        self.out = frozenset(out)
        for name, mask in self._masks.items():
            if mask.dtype != torch.bool:
                raise ValueError(f"The mask of {name} is {mask.dtype}; it must be torch.bool.")
        for name, (a, b) in self.fixed.items():
            if name not in self._masks:
                raise ValueError(f"A fixed range is given for {name}, which has no mask.")
            if not 0 <= a <= b <= self._masks[name].numel():
                raise ValueError(f"The fixed range {a}:{b} lies outside the mask of {name}.")
            if not bool(self._masks[name].reshape(-1)[a:b].all()):
                raise ValueError(f"The mask of {name} prunes inside its pad row ({a}:{b}).")

    def __getitem__(self, name: str) -> Tensor:
        return self._masks[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._masks)

    def __len__(self) -> int:
        return len(self._masks)

    def __and__(self, other: "Masks") -> "Masks":
        """What both keep; a weight that only one of them has a mask for is as that says."""
        kept = {**self, **other}
        for name in set(self) & set(other):
            kept[name] = self[name] & other[name]
        return Masks(kept, {**self.fixed, **other.fixed}, self.out | other.out)

    def __repr__(self) -> str:
        return f"Masks({len(self)} tensors, sparsity {self.sparsity():.4f}, {self.digest()[:12]})"

    def prunable(self, name: str) -> int:
        """How many weights of this tensor can be pruned, the pruned ones included.

        Args:
            name: the weight's.
        """
        a, b = self.fixed.get(name, (0, 0))
        return self._masks[name].numel() - (b - a)

    def removed(self, name: str) -> int:
        """How many weights of this tensor are pruned.

        Args:
            name: the weight's.
        """
        if name not in self._removed:
            mask = self._masks[name]
            self._removed[name] = mask.numel() - int(torch.count_nonzero(mask))
        return self._removed[name]

    def prunable_in_all(self) -> int:
        """How many weights can be pruned, the pruned ones included."""
        return sum(map(self.prunable, self))

    def removed_in_all(self) -> int:
        """How many weights are pruned."""
        return sum(map(self.removed, self))

    def sparsity(self) -> float:
        """The fraction of all prunable weights that is removed."""
        total = self.prunable_in_all()
        return self.removed_in_all() / total if total else 0.0

    def digest(self) -> str:
        """SHA-256 over names, shapes, fixed ranges, bits and `out`; names may come in any order."""
        return self._digest or str(self.pack()["digest"])

    def pack(self) -> dict[str, Any]:
        """Plain tensors, strings and numbers, one bit a weight, to go into a checkpoint."""
        bits = {name: (pack_bits(m), tuple(m.shape)) for name, m in self.items()}
        self._digest = self._digest or _digest(bits, self.fixed, self.out)
        return {
            **({"out": sorted(self.out)} if self.out else {}),  # what older versions do not know
            "bits": {name: packed for name, (packed, _) in bits.items()},
            "shapes": {name: list(shape) for name, (_, shape) in bits.items()},
            "fixed": {name: list(ab) for name, ab in self.fixed.items()},
            "digest": self._digest,
        }

    @classmethod
    def unpack(cls, packed: Mapping[str, Any], origin: str) -> "Masks":
        """The masks that :meth:`pack` packed.

        Args:
            packed: what pack gave, maybe from an untrusted file.
            origin: where it came from, for the error message.

        Raises ValueError where the parts do not fit together or the digest does not match.
        """
        try:
            shapes = {str(n): tuple(int(s) for s in v) for n, v in packed["shapes"].items()}
            for name, shape in shapes.items():
                bits, count = packed["bits"][name], math.prod(shape)
                if bits.dtype != torch.uint8 or bits.dim() != 1 or min(shape, default=1) < 0:
                    raise ValueError(f"{name} is not packed in bytes")
                if bits.numel() != (count + 7) // 8:
                    raise ValueError(f"{name} has {bits.numel()} bytes for the shape {shape}")
            bits = {name: (packed["bits"][name], shape) for name, shape in shapes.items()}
            fixed = {str(n): (int(a), int(b)) for n, (a, b) in packed["fixed"].items()}
            out = _names(packed.get("out", []))
            digest = str(packed["digest"])
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"The masks in {origin} are damaged: {error}.") from None
        if _digest(bits, fixed, out) != digest:
            raise ValueError(f"The masks in {origin} are damaged: their digest does not match.")
        masks = {name: unpack_bits(b, shape) for name, (b, shape) in bits.items()}
        return cls(masks, fixed, out)


def _names(value: Any) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"what is out is {str(value)[:40]!r}")
    return frozenset(value)


def _digest(
    bits: Mapping[str, tuple[Tensor, tuple[int, ...]]],
    fixed: Mapping[str, tuple[int, int]],
    out: Iterable[str],
) -> str:
    sha = hashlib.sha256()
    for name in sorted(bits):
        packed, shape = bits[name]
        sha.update(f"{name}{tuple(shape)}{tuple(fixed.get(name, ()))}".encode())
        sha.update(packed.contiguous().numpy().data)
    for name in sorted(out):
        sha.update(f"out {name}".encode())
    return sha.hexdigest()
