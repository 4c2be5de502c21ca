"""The key at which a ranking over several tensors is cut: exact, in about one pass.

A random sample brackets the cut; one pass counts what lies above the bracket and collects what
lies in it; the cut is then found among those. A bracket that misses, or holds a value that
very many elements share, is replaced by another, and in the end by an exact radix count.
The sample decides how long it takes, never what comes out.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from fairseq_prune.maths.radix import radix_cut
from fairseq_prune.maths.score import Score, Scores
from fairseq_prune.maths.stream import RUN, Array, Found, Reader, divide, sample, scan

SAMPLE = 1 << 18
# A miss costs one more pass and happens once in 370 times; a wider bracket costs every time.
_SIGMAS = 3.0
ATTEMPTS = 4
_SEED = 1606_09274


@dataclass(frozen=True)
class Cut:
    """Where a ranking is cut.

    Attributes:
        key: the smallest kept key; -inf where nothing is left out but what is gone.
        kept: how many each tensor keeps.
        masks: flat, what each tensor keeps, where that came out on the way. Nothing is said of
            a score's fixed range.
    """

    key: float
    kept: Mapping[str, int]
    masks: Mapping[str, Array]

    @property
    def total(self) -> int:
        """How many are kept over all tensors: fewer than asked for when too few are alive."""
        return sum(self.kept.values())


def find_cut(scores: Scores, keep: int, *, attempts: int = ATTEMPTS) -> Cut:
    """The cut that keeps the `keep` largest keys, or all that are alive if they are fewer.

    Ties go to the earlier tensor.

    Args:
        keep: at least 0.
        attempts: how many brackets are tried before the radix count.
    """
    if keep == 0:
        return Cut(math.inf, dict.fromkeys(scores, 0), {})
    total = sum(score.numel_prunable for score in scores.values())
    room = max(total // 32, SAMPLE)
    drawn = _draw(scores, total) if total > room else np.empty((0, RUN))
    known = (-math.inf, math.inf)
    for attempt in range(attempts):
        low, high = _bracket(drawn, known, keep / max(total, 1), attempt, room / max(total, 1))
        found = _scan_all(scores, low, high, room)
        above = sum(part.above for part in found.values())
        inside = sum(part.inside for part in found.values())
        if above >= keep:
            found.clear()
            known = (math.nextafter(high, math.inf), known[1])
        elif above + inside < keep and low > -math.inf:
            found.clear()
            known = (known[0], math.nextafter(low, -math.inf))
        elif inside <= room and low < high:
            return _resolve(scores, found, keep - above)
        elif low == high or above + inside <= keep:
            return _share(low, found, keep - above)
    key = radix_cut(scores, keep)
    found = _scan_all(scores, key, key, 0)
    return _share(key, found, keep - sum(part.above for part in found.values()))


def _draw(scores: Scores, total: int) -> Array:
    """A random sample of the keys of all tensors, in runs: (SAMPLE / RUN, RUN).

    One run from each of as many equal parts of the concatenation: every tensor gets its share.
    """
    count = SAMPLE // RUN
    starts = (np.arange(count) + np.random.default_rng(_SEED).random(count)) * (total / count)
    places = np.minimum(starts.astype(np.int64), total - 1)
    drawn, offset = [], 0
    for score in scores.values():
        size = score.numel_prunable
        first, last = np.searchsorted(places, [offset, offset + size])
        if first < last:
            drawn.append(sample(score, places[first:last] - offset))
        offset += size
    return np.concatenate(drawn)


def _bracket(
    drawn: Array, known: tuple[float, float], share: float, attempt: int, room: float
) -> tuple[float, float]:
    """The keys, both included, between which the cut is expected; inside of what is known.

    Args:
        drawn: sample of keys (count, RUN), or empty: then all that is known is the bracket.
        known: the cut is certainly between these.
        share: fraction of the elements that is kept.
        attempt: how many brackets have failed; each makes the next one twice as wide.
        room: fraction of the elements that may be collected. Where more are expected, a value
            that many share must be to blame, and the bracket is that value alone.
    """
    size = drawn.size
    if size == 0:
        return known
    ordered = np.sort(drawn, axis=None)
    place = size * (1.0 - share)
    cut = ordered[min(int(place), size - 1)]
    margin = _SIGMAS * (1.0 + _deviation(drawn >= cut, share)) * 2.0**attempt
    left, right = math.floor(place - margin), math.ceil(place + margin)
    low = max(known[0], ordered[left] if left >= 0 else -math.inf)
    high = min(known[1], ordered[right] if right < size else math.inf)
    if low > high:
        return known
    among = ordered[np.searchsorted(ordered, low) : np.searchsorted(ordered, high, side="right")]
    among = among[among > -math.inf]
    if len(among) > room * size:
        values, counts = np.unique(among, return_counts=True)
        most = int(counts.argmax())
        if counts[most] > 1:
            low = high = values[most]
    return float(low), float(high)


def _deviation(above: Array, share: float) -> float:
    """Standard deviation of how many drawn keys lie above the cut, from which do: (count, RUN).

    That of independent draws, unless neighbours are alike (a row of large weights): then a run
    says little more than one key, as the differences between runs next to each other show.
    """
    runs, length = above.shape
    apart = length * share * (1.0 - share)
    steps = np.diff(above.sum(axis=1))
    return math.sqrt(runs * max(apart, float(np.mean(steps * steps)) / 2.0))


def _scan_all(scores: Scores, low: float, high: float, room: int) -> dict[str, Found]:
    found: dict[str, Found] = {}
    # Masks in one array: the system hands out a large one in large pages, which cost much less.
    sizes = [score.values.numel() for score in scores.values()]
    parts = np.split(np.empty(sum(sizes), bool), np.cumsum(sizes)[:-1]) if room else ()
    for (name, score), mask in zip_longest(scores.items(), parts):
        found[name] = scan(Reader(score, name), low, high, mask, room)
        room -= found[name].inside
        if room < 0:
            for part in found.values():
                part.forget()
    return found


def _resolve(scores: Scores, found: Mapping[str, Found], need: int) -> Cut:
    """The cut that keeps `need` of the elements collected, and all above them."""
    together = np.concatenate([_keys_of(found[name], scores[name]) for name in found])
    rank = len(together) - need
    if rank < 0:
        return _share(-math.inf, found, need)
    cut = float(np.partition(together, rank)[rank])
    ties = need - int(np.count_nonzero(together > cut))
    kept, masks, start = {}, {}, 0
    for name, part in found.items():
        keys = together[start : start + part.inside]
        start += part.inside
        over = keys > cut
        level = part.places[np.flatnonzero(keys == cut)[:ties]]
        ties -= len(level)
        kept[name] = part.above + int(np.count_nonzero(over)) + len(level)
        assert part.mask is not None
        part.mask[part.places] = over
        part.mask[level] = True
        masks[name] = part.mask
    return Cut(cut, kept, masks)


def _keys_of(found: Found, score: Score) -> Array:
    keys: Array = found.keys.astype(np.float64)
    if score.scale != 1.0:
        divide(keys, score.scale)
    return keys


def _share(key: float, found: Mapping[str, Found], need: int) -> Cut:
    """The cut at `key`: all above it, and `need` of those at it from the first tensors on."""
    kept = {}
    for name, part in found.items():
        taken = min(need, part.inside)
        need -= taken
        kept[name] = part.above + taken
    return Cut(key, kept, {})
