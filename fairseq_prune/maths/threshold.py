"""The key at which a ranking over several tensors is cut: exact, in about one pass.

A random sample brackets the cut; one pass counts what lies above the bracket and collects what
lies in it; the cut is then found among those. A bracket that misses, or holds a value that
very many elements share, is replaced by another, and in the end by an exact radix count.
The sample decides how long it takes, never what comes out.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fairseq_prune.maths.radix import radix_cut
from fairseq_prune.maths.score import Scores
from fairseq_prune.maths.stream import Array, Found, Reader, sample, scan

SAMPLE = 1 << 17
_SIGMAS = 4.0
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


def find_cut(scores: Scores, keep: int, attempts: int = ATTEMPTS) -> Cut:
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
    drawn = _draw(scores, total) if total > room else np.empty(0)
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
    """A sorted random sample of the keys of all tensors: (SAMPLE,)."""
    random = np.random.default_rng(_SEED)
    sizes = [score.numel_prunable for score in scores.values()]
    counts = random.multinomial(SAMPLE, np.array(sizes) / total)
    drawn = [sample(s, int(n), random) for s, n in zip(scores.values(), counts, strict=True) if n]
    keys = np.concatenate(drawn)
    keys.sort()
    return keys


def _bracket(
    drawn: Array, known: tuple[float, float], share: float, attempt: int, room: float
) -> tuple[float, float]:
    """The keys, both included, between which the cut is expected; inside of what is known.

    Args:
        drawn: sorted sample of keys, or empty: then all that is known is the bracket.
        known: the cut is certainly between these.
        share: fraction of the elements that is kept.
        attempt: how many brackets have failed; each makes the next one twice as wide.
        room: fraction of the elements that may be collected. Where more are expected, a value
            that many share must be to blame, and the bracket is that value alone.
    """
    size = len(drawn)
    if size == 0:
        return known
    place = size * (1.0 - share)
    margin = _SIGMAS * (1.0 + math.sqrt(size * share * (1.0 - share))) * 2.0**attempt
    left, right = math.floor(place - margin), math.ceil(place + margin)
    low = max(known[0], drawn[left] if left >= 0 else -math.inf)
    high = min(known[1], drawn[right] if right < size else math.inf)
    if low > high:
        return known
    among = drawn[np.searchsorted(drawn, low) : np.searchsorted(drawn, high, side="right")]
    among = among[among > -math.inf]
    if len(among) > room * size:
        values, counts = np.unique(among, return_counts=True)
        most = int(counts.argmax())
        if counts[most] > 1:
            low = high = values[most]
    return float(low), float(high)


def _scan_all(scores: Scores, low: float, high: float, room: int) -> dict[str, Found]:
    found: dict[str, Found] = {}
    for name, score in scores.items():
        found[name] = scan(Reader(score, name), low, high, room)
        room -= found[name].inside
        if room < 0:
            for part in found.values():
                part.forget()
    return found


def _resolve(scores: Scores, found: Mapping[str, Found], need: int) -> Cut:
    """The cut that keeps `need` of the elements collected, and all above them."""
    keys = {
        name: np.concatenate([np.empty(0), *part.keys]) / scores[name].scale
        for name, part in found.items()
    }
    together = np.concatenate([*keys.values()])
    if need > len(together):
        return _share(-math.inf, found, need)
    together.partition(len(together) - need)
    cut = float(together[len(together) - need])
    ties = need - int(np.count_nonzero(together > cut))
    kept, masks = {}, {}
    for name, part in found.items():
        places = np.concatenate([np.empty(0, np.int64), *part.places])
        over = places[keys[name] > cut]
        level = places[keys[name] == cut][:ties]
        ties -= len(level)
        kept[name] = part.above + len(over) + len(level)
        if part.mask is not None:
            part.mask[over] = True
            part.mask[level] = True
            masks[name] = part.mask
    return Cut(cut, kept, masks)


def _share(key: float, found: Mapping[str, Found], need: int) -> Cut:
    """The cut at `key`: all above it, and `need` of those at it from the first tensors on."""
    kept = {}
    for name, part in found.items():
        taken = min(need, part.inside)
        need -= taken
        kept[name] = part.above + taken
    return Cut(key, kept, {})
