"""Scores read in chunks that stay in the cache: counting, collecting and sampling them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from fairseq_prune.maths.score import Score, first_at

# Elements a chunk: 256 KiB of float32, so that a chunk and its scratch stay in a core's cache.
CHUNK = 1 << 16

# Neighbours drawn at a time by `sample`.
RUN = 16

Array = np.ndarray


@dataclass(slots=True)
class Piece:
    """A run of elements of one tensor, as numpy sees them.

    `keys` are the (absolute) values before the scale, in the score's domain; valid until the
    next piece is read. `alive` is None where all are.
    """

    start: int
    keys: Array
    alive: Array | None

    @property
    def stop(self) -> int:
        """The flat index after the last element."""
        return self.start + len(self.keys)

    def at_least(self, bound: float, out: Array) -> Array:
        """Where the elements are alive and reach `bound`: bool, in `out`. NaN does not."""
        np.greater_equal(self.keys, bound, out=out)
        if self.alive is not None:
            out &= self.alive
        return out

    def between(self, first: float, above: Array, out: Array) -> Array:
        """Where the elements are alive, reach `first` and are not `above`: bool, in `out`.

        NaN is always among them, which saves a search for it through all elements.
        """
        np.less(self.keys, first, out=out)
        np.equal(out, above, out=out)
        if self.alive is not None:
            out &= self.alive
        return out


class Reader:
    """Reads one score piece by piece; on another device, it is copied to the CPU once.

    Args:
        score: what to read.
        name: names the tensor in errors.
    """

    def __init__(self, score: Score, name: str = "") -> None:
        self.score = score
        self.name = name
        self._absolute = score.absolute
        self._values = score.values.detach().cpu().reshape(-1)
        self._alive = None if score.alive is None else _as_array(score.alive)
        size = min(CHUNK, max(1, self._values.numel()))
        native = self._values.dtype == score.domain
        self._native = self._values.numpy() if native else None
        self._wide = torch.empty(0 if native else size, dtype=score.domain)
        self._keys = np.empty(size, np.float64 if score.domain == torch.float64 else np.float32)
        self.flags = (np.empty(size, bool), np.empty(size, bool))

    def pieces(self, backwards: bool = False) -> Iterator[Piece]:
        """The pieces in order of their flat index, or from the last to the first."""
        starts = [
            (at, min(at + CHUNK, b)) for a, b in self.score.spans for at in range(a, b, CHUNK)
        ]
        for start, stop in reversed(starts) if backwards else starts:
            yield self._piece(start, stop)

    def _piece(self, start: int, stop: int) -> Piece:
        values = self._raw(start, stop)
        alive = None if self._alive is None else self._alive[start:stop]
        keys = np.abs(values, out=self._keys[: stop - start]) if self._absolute else values
        return Piece(start, keys, alive)

    def refuse_nan(self, keys: Array) -> None:
        """Raises ValueError where keys of elements that are alive hold NaN."""
        # The maximum passes NaN on.
        if len(keys) and math.isnan(np.maximum.reduce(keys)):
            where = f" of {self.name}" if self.name else ""
            raise ValueError(f"the score{where} holds NaN: it cannot be ranked.")

    def _raw(self, start: int, stop: int) -> Array:
        if self._native is not None:
            return self._native[start:stop]
        wide = self._wide[: stop - start]
        wide.copy_(self._values[start:stop])
        return wide.numpy()


def _as_array(tensor: Tensor) -> Array:
    return tensor.detach().cpu().reshape(-1).numpy()


@dataclass
class Found:
    """What a scan saw of one tensor.

    Attributes:
        above, inside: how many are above the bracket and in it.
        keys, places: the values (before the scale) in the bracket and their flat indices, in
            order; empty where they were only counted.
        mask: flat; True above the bracket. None where they were only counted.
    """

    above: int = 0
    inside: int = 0
    keys: Array = field(default_factory=lambda: np.empty(0))
    places: Array = field(default_factory=lambda: np.empty(0, np.int64))
    mask: Array | None = None

    def forget(self) -> None:
        """Drops all but the counts."""
        self.keys, self.places, self.mask = self.keys[:0].copy(), self.places[:0].copy(), None


def scan(
    reader: Reader, low: float, high: float, mask: Array | None = None, room: int = 0
) -> Found:
    """Counts of the elements with a key above `high` and in [low, high]; the latter, collected.

    Args:
        low, high: bracket in units of the ranking key; both ends belong to it.
        mask: flat, bool; becomes True above the bracket. None: count only.
        room: when more elements than this are inside, they are counted and not collected.

    Raises:
        ValueError: an element that is alive is NaN.
    """
    first, beyond = first_at(reader.score, low), first_at(reader.score, high, above=True)
    found = Found(mask=mask)
    keys, places = [], []
    for piece in reader.pieces():
        size = len(piece.keys)
        out = reader.flags[1][:size] if mask is None else mask[piece.start : piece.stop]
        above = piece.at_least(beyond, out)
        found.above += int(np.count_nonzero(above))
        inside = piece.between(first, above, reader.flags[0][:size])
        if mask is None or found.inside > room:
            reader.refuse_nan(piece.keys if piece.alive is None else piece.keys[piece.alive])
            found.inside += int(np.count_nonzero(inside))
            continue
        (here,) = inside.nonzero()
        found.inside += len(here)
        keys.append(piece.keys.take(here))
        here += piece.start
        places.append(here)
    if keys:
        found.keys, found.places = np.concatenate(keys), np.concatenate(places)
        reader.refuse_nan(found.keys)
    if found.inside > room:
        found.forget()
    return found


def count_alive(score: Score) -> int:
    """How many elements take part and are not gone."""
    return scan(Reader(score), -math.inf, math.inf).inside


def sample(score: Score, starts: Array) -> Array:
    """Ranking keys of runs of RUN neighbours; -inf for those gone: (runs, RUN) float64.

    Neighbours share a cache line, so that they cost next to nothing once the first is read. A
    tensor of less than RUN elements has no runs. A run may reach into a fixed range.

    Args:
        starts: where runs begin, counted among the elements that take part; each is moved back
            to a multiple of RUN.
    """
    rows = score.values.numel() // RUN
    if rows == 0:
        return np.empty((0, RUN))
    if score.fixed is not None:
        start, stop = score.fixed
        starts = starts + (starts >= start) * (stop - start)
    places = torch.from_numpy(np.minimum(starts // RUN, rows - 1))
    values = _rows(score.values, rows, places).to(torch.float64).numpy()
    keys = np.abs(values) if score.absolute else values
    divide(keys, score.scale)
    if score.alive is not None:
        keys[~_rows(score.alive, rows, places).numpy()] = -math.inf
    return keys


def _rows(tensor: Tensor, rows: int, places: Tensor) -> Tensor:
    runs = tensor.detach().reshape(-1)[: rows * RUN].view(rows, RUN)
    return runs.index_select(0, places.to(tensor.device)).cpu()


def divide(keys: Array, scale: float) -> None:
    """Divides float64 values by a scale, in place; what overflows becomes infinite."""
    with np.errstate(over="ignore"):
        keys /= scale
