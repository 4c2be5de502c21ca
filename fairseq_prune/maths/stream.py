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
        """Where the elements are alive and reach `bound`: bool, in `out`."""
        np.greater_equal(self.keys, bound, out=out)
        if self.alive is not None:
            out &= self.alive
        return out


class Reader:
    """Reads one score piece by piece; on another device, it is copied to the CPU once.

    Args:
        score: what to read.
        name: names the tensor in errors.
        accept_any: take NaN and |-inf| as they are, instead of as an error and as gone.
    """

    def __init__(self, score: Score, name: str = "", *, accept_any: bool = False) -> None:
        self.score = score
        self.name = name
        self._accept_any = accept_any
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
        # The maximum passes NaN on: one reduction finds that and |-inf|.
        if not self._accept_any and not np.maximum.reduce(keys) < math.inf:
            self._refuse_nan(values if alive is None else values[alive])
            if self._absolute:
                keys[values == -math.inf] = -math.inf
        return Piece(start, keys, alive)

    def _refuse_nan(self, among: Array) -> None:
        # Only what is alive is asked: what is gone may hold anything.
        if np.isnan(among).any():
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
        keys, places: parts of the values (before the scale) in the bracket and their flat
            indices, in order; empty where they were only counted.
        mask: flat; True above the bracket. None where they were only counted.
    """

    above: int = 0
    inside: int = 0
    keys: list[Array] = field(default_factory=list)
    places: list[Array] = field(default_factory=list)
    mask: Array | None = None

    def forget(self) -> None:
        """Drops all but the counts."""
        self.keys.clear()
        self.places.clear()
        self.mask = None


def scan(reader: Reader, low: float, high: float, room: int) -> Found:
    """Counts of the elements with a key above `high` and in [low, high]; the latter, collected.

    Args:
        low, high: bracket in units of the ranking key; both ends belong to it.
        room: when more elements than this are inside, they are counted and not collected.
    """
    first, beyond = first_at(reader.score, low), first_at(reader.score, high, above=True)
    found = Found()
    mask = np.empty(reader.score.values.numel() if room > 0 else 0, bool)
    for piece in reader.pieces():
        size = len(piece.keys)
        inside = piece.at_least(first, reader.flags[0][:size])
        out = mask[piece.start : piece.stop] if room > 0 else reader.flags[1][:size]
        above = piece.at_least(beyond, out)
        found.above += int(np.count_nonzero(above))
        inside ^= above
        if found.inside > room or room <= 0:
            found.inside += int(np.count_nonzero(inside))
            continue
        (places,) = inside.nonzero()
        found.inside += len(places)
        found.keys.append(piece.keys.take(places))
        places += piece.start
        found.places.append(places)
    found.mask = mask
    if found.inside > room or room <= 0:
        found.forget()
    return found


def count_alive(score: Score) -> int:
    """How many elements take part and are not gone."""
    return scan(Reader(score), -math.inf, math.inf, 0).inside


def sample(score: Score, starts: Array) -> Array:
    """Ranking keys of runs of RUN neighbours; -inf for those gone: (len(starts), RUN).

    Neighbours share a cache line, so that they cost next to nothing once the first is read.

    Args:
        starts: where runs begin, counted among the elements that take part. Each is moved back
            to a multiple of RUN, and the last run repeats the last element when it is short.
    """
    indices = (starts // RUN * RUN)[:, None] + np.arange(RUN)
    indices = np.minimum(indices, score.numel_prunable - 1).reshape(-1)
    if score.fixed is not None:
        start, stop = score.fixed
        indices[indices >= start] += stop - start
    values = _gather(score.values, indices).to(torch.float64).numpy()
    keys = np.abs(values) if score.absolute else values
    gone = values == -math.inf
    divide(keys, score.scale)
    keys[gone] = -math.inf
    if score.alive is not None:
        keys[~_gather(score.alive, indices).numpy()] = -math.inf
    return keys.reshape(len(starts), RUN)


def divide(keys: Array, scale: float) -> None:
    """Divides float64 values by a scale, in place; what overflows becomes infinite."""
    with np.errstate(over="ignore"):
        keys /= scale


def _gather(tensor: Tensor, indices: Array) -> Tensor:
    places = torch.from_numpy(indices).to(tensor.device)
    return tensor.detach().reshape(-1).index_select(0, places).cpu()
