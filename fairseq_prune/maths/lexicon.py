"""Which target words translate a source word, learnt from pairs of sentences: IBM model 1.

Brown et al. (1993), The mathematics of statistical machine translation, section 4.2,
https://aclanthology.org/J93-2003. Every target word is made by one source word of its sentence, or
by an empty one, whatever their places; expectation-maximisation finds t(target | source).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pairs:
    """Pairs of sentences, one after the other.

    Args:
        source, target: the numbers of their words.
        source_lengths, target_lengths: the words of each sentence, as many as pairs.
    """

    source: Ints
    source_lengths: Ints
    target: Ints
    target_lengths: Ints


@dataclass(frozen=True)
class Lexicon:
    """Words with their translations, by source word and then by target word.

    Args:
        source, target: of each entry, (entries,).
        probability: t(target | source) of each, (entries,).
    """

    source: Ints
    target: Ints
    probability: Floats

    def best(self, count: int) -> "Lexicon":
        """The ``count`` most probable translations of each word; of equal ones those first in
        the dictionary."""
        order = np.lexsort((self.target, -self.probability, self.source))
        source = self.source[order]
        rank = np.arange(len(order)) - np.searchsorted(source, source)
        kept = np.sort(order[rank < count])
        return Lexicon(self.source[kept], self.target[kept], self.probability[kept])


def ibm1(corpus: Callable[[], Iterable[Pairs]], sizes: tuple[int, int], passes: int = 3) -> Lexicon:
    """Translation probabilities of all words that occur in a pair of sentences together.

    Args:
        corpus: gives the sentences anew for each pass; a part at a time is in memory, and with it
            about 40 bytes for each pair of words in it.
        sizes: of the dictionaries of source and target.
        passes: of expectation-maximisation; the first starts from equal probabilities.
    """
    empty = sizes[0]
    table = _first((_links(pairs, sizes) for pairs in corpus()), sizes[1])
    for _ in range(passes - 1):
        table = table.after(_links(pairs, sizes) for pairs in corpus())
    source, target = np.divmod(table.keys, sizes[1])
    real = source < empty
    return Lexicon(source[real], target[real], table.probabilities()[real])


@dataclass(frozen=True)
class _Links:
    """Every source word that may have made a target word, the empty one included.

    Args:
        keys: source word * target words + target word, (links,).
        of: the number of the target word in the text, rising, (links,).
        words: how many target words there are.
    """

    keys: Ints
    of: Ints
    words: int


def _links(pairs: Pairs, sizes: tuple[int, int]) -> _Links:
    empty, width = sizes
    lengths = pairs.source_lengths + 1
    source = np.insert(pairs.source, np.cumsum(pairs.source_lengths), empty)
    sentence = np.repeat(np.arange(len(lengths)), pairs.target_lengths)
    counts = lengths[sentence]  # of links, for each target word
    of = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = (np.cumsum(lengths) - lengths)[sentence]
    keys = source[starts[of] + place] * width + pairs.target[of]
    return _Links(keys, of, len(counts))


@dataclass(frozen=True)
class _Table:
    """How often each source word is expected to have made each target word.

    Args:
        keys: as those of links, rising, each once.
        counts: expected.
        width: how many words the target's dictionary has.
    """

    keys: Ints
    counts: Floats
    width: int

    def probabilities(self) -> Floats:
        """t(target | source) of each."""
        source = self.keys // self.width
        return self.counts / np.bincount(source, self.counts)[source]

    def after(self, parts: Iterable[_Links]) -> "_Table":
        """What the corpus says to expect by these probabilities."""
        known, counts = self.probabilities(), np.zeros_like(self.counts)
        for links in parts:
            place = np.searchsorted(self.keys, links.keys)
            share = known[place]
            share /= np.bincount(links.of, share, links.words)[links.of]
            counts += np.bincount(place, share, len(counts))
        return _Table(self.keys, counts, self.width)


def _first(parts: Iterable[_Links], width: int) -> _Table:
    """What to expect where every link is as probable as the others of its target word."""
    whole, fresh, count = (np.empty(0, np.int64), np.empty(0)), [], 0
    for links in parts:
        share = 1 / np.bincount(links.of, minlength=links.words)[links.of]
        fresh.append(_summed(links.keys, share))
        count += len(fresh[-1][0])
        if count > len(whole[0]):  # so that each entry is merged only a few times
            whole, fresh, count = _merged([whole, *fresh]), [], 0
    return _Table(*_merged([whole, *fresh]), width)


def _merged(parts: list[tuple[Ints, Floats]]) -> tuple[Ints, Floats]:
    keys, counts = zip(*parts, strict=True)
    return _summed(np.concatenate(keys), np.concatenate(counts))


def _summed(keys: Ints, counts: Floats) -> tuple[Ints, Floats]:
    """Each key once, rising, with the sum of its counts."""
    found, place = np.unique(keys, return_inverse=True)
    sums: Floats = np.bincount(place, counts, len(found)).astype(np.float64)
    return found, sums
