"""Which weights survive, seen from afar: shares by cell of a matrix, and by row."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from fairseq_prune.masks.state import Masks

GATES = ("input", "forget", "cell", "output")  # torch's order of an LSTM's rows
ROWS, COLUMNS = 64, 48  # the most cells of a tensor

Shares = np.ndarray[Any, Any]  # float, (rows, columns)


@dataclass(frozen=True)
class Part:
    """One tensor of a class, pooled.

    Args:
        name: of the tensor, short.
        shares: the share of weights that survive, in cells of the ``(out, in)`` matrix.
        shape: of the matrix.
        gates: whether its rows are the four gates of an LSTM.
    """

    name: str
    shares: Shares
    shape: tuple[int, int]
    gates: bool


@dataclass(frozen=True)
class Rows:
    """How sparse the rows of a class are.

    Args:
        removed: the share of its inputs that each row has lost, pad rows left out.
    """

    label: str
    removed: Shares

    @property
    def dead(self) -> int:
        """How many rows have lost all inputs."""
        return int((self.removed >= 1.0).sum())


def matrix(mask: Tensor) -> np.ndarray:
    """The mask as ``(out, everything else)``."""
    return mask.cpu().numpy().reshape(mask.shape[0], -1)


def pool(kept: np.ndarray, rows: int, columns: int) -> Shares:
    """The share of True in at most ``rows`` x ``columns`` cells of about the same size."""
    shares: Shares = kept.astype(np.float32)
    for axis, most in ((0, rows), (1, columns)):
        size = shares.shape[axis]
        edges = np.linspace(0, size, min(size, most) + 1).astype(int)
        sums = np.add.reduceat(shares, edges[:-1], axis=axis)
        widths = np.diff(edges)
        shares = sums / (widths[:, None] if axis == 0 else widths)
    return shares


def parts_by_class(masks: Masks, classes: Mapping[str, str]) -> dict[str, list[Part]]:
    """The tensors of each class, in the order of the masks."""
    found: dict[str, list[Part]] = {}
    for name, mask in masks.items():
        kept = matrix(mask)
        found.setdefault(classes.get(name, name), []).append(
            Part(short(name), pool(kept, ROWS, COLUMNS), kept.shape, has_gates(name))
        )
    return found


def rows_by_class(masks: Masks, classes: Mapping[str, str]) -> list[Rows]:
    """The rows of all tensors of each class."""
    found: dict[str, list[np.ndarray]] = {}
    for name, mask in masks.items():
        kept = matrix(mask)
        removed = 1.0 - kept.mean(axis=1)
        if name in masks.fixed:
            a, b = masks.fixed[name]
            removed = np.delete(removed, slice(a // kept.shape[1], b // kept.shape[1]))
        found.setdefault(classes.get(name, name), []).append(removed)
    return [Rows(label, np.concatenate(parts)) for label, parts in found.items()]


def has_gates(name: str) -> bool:
    """Whether a tensor is an LSTM's: its rows are the gates, one after the other."""
    return "weight_ih" in name or "weight_hh" in name


def short(name: str) -> str:
    """What tells a tensor from the others of its class."""
    last = name.removesuffix(".weight").rpartition(".")[2]
    last = re.sub(r"_l\d+", "", last)  # the layer is in the class's name
    for long, brief in (("weight_", ""), ("_proj", ""), ("_reverse", " back")):
        last = last.replace(long, brief)
    return last


def side(label: str) -> str:
    """The half of the network that a class belongs to."""
    if label.startswith("source"):
        return "encoder"
    return "both" if label.startswith("shared") else "decoder"


def sides(labels: Sequence[str]) -> list[str]:
    """The classes, those of the encoder first, as they came within each half."""
    order = ("encoder", "both", "decoder")
    return sorted(labels, key=lambda label: order.index(side(label)))
