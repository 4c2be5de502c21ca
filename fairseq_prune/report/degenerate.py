"""Outputs that are no translations: empty, repeating, copied, too long.

What counts, sentence by sentence, words being what spaces separate:

* empty: no word, where the reference has one;
* repeats: a phrase of 2 to 10 words three times in a row, or a word four times in a row, where the
  reference has no such loop (Holtzman et al. 2020, section 4.3, ask for a phrase of 2 words or more
  three times at the very end);
* copied: more than half of its words are words of the source, and not more than half are words of
  the reference (Ott et al. 2018, section 5.2, ask for the first half only);
* long: more than twice as many words as the reference.
"""

import operator
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, fields

from fairseq_prune.report.outputs import Reference
from fairseq_prune.report.points import Place, Point, PointKey, places_of
from fairseq_prune.report.significance import dense_points

LONGEST = 10  # words of a phrase that is looked for
BEYOND = 0.05  # of the sentences: what a share may be above the dense model's


@dataclass(frozen=True)
class Faults:
    """Fractions of the sentences of a test set; see the top of this file."""

    empty: float
    repeats: float
    copied: float
    long: float


FAULTS = tuple(field.name for field in fields(Faults))


class Judge:
    """Judges outputs on one test set, whose words are looked up once.

    Args:
        reference: the test set.
    """

    def __init__(self, reference: Reference) -> None:
        self._sentences = [
            (set(s.source.split()), set(words := s.reference.split()), len(words), loops(words))
            for s in reference.sentences
        ]

    def faults(self, lines: Sequence[str]) -> Faults:
        """The faults of one model's output, a line a sentence."""
        empty = repeats = copied = long = 0
        for line, (source, wanted, length, looping) in zip(lines, self._sentences, strict=True):
            words = line.split()
            empty += not words and length > 0
            repeats += not looping and loops(words)
            copied += _most(words, source) and not _most(words, wanted)
            long += len(words) > 2 * length
        total = max(1, len(lines))
        return Faults(empty / total, repeats / total, copied / total, long / total)


def loops(words: Sequence[str]) -> bool:
    """Whether a phrase of 2 to 10 words stands three times in a row, or a word four times."""
    # either repeats at least three words, which few sound sentences do
    if len(words) - len(set(words)) < 3:
        return False
    for period in range(1, LONGEST + 1):
        # a phrase of p words k times in a row: (k - 1) p words that are those p before
        same = bytes(map(operator.eq, words, words[period:]))
        if b"\1" * max(3, 2 * period) in same:
            return True
    return False


def _most(words: Sequence[str], among: Set[str]) -> bool:
    return 2 * sum(map(among.__contains__, words)) > len(words)


def flags(points: Sequence[Point], found: Mapping[PointKey, Faults]) -> dict[Place, str]:
    """Of each place, the faults whose mean over seeds is more than 0.05 above its dense models'.

    Those of points without a dense model count from 0.
    """
    bases = dense_points(points)
    made: dict[Place, str] = {}
    for place, members in places_of(points).items():
        mine = [found[p.key] for p in members if p.key in found]
        if not mine or members[0].kind.is_dense:
            continue
        dense = dict.fromkeys(bases[p.key].key for p in members if p.key in bases)
        base = [found[key] for key in dense if key in found]
        made[place] = ", ".join(n for n in FAULTS if _mean(mine, n) > _mean(base, n) + BEYOND)
    return made


def _mean(found: Sequence[Faults], name: str) -> float:
    return sum(getattr(one, name) for one in found) / len(found) if found else 0.0
