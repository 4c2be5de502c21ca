"""Translations of words: IBM model 1 against its definition, sentence by sentence."""

from collections.abc import Iterator

import numpy as np
import pytest

from fairseq_prune.maths.lexicon import Lexicon, Pairs, ibm1

SIZES = (9, 7)


def draw(count: int, seed: int = 1) -> list[tuple[list[int], list[int]]]:
    """Pairs of sentences of random words, empty ones among them."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 5, (count, 2))
    return [(rng.integers(0, SIZES[0], m).tolist(), rng.integers(0, SIZES[1], n).tolist())
            for m, n in lengths]  # fmt: skip


def parts(sentences: list[tuple[list[int], list[int]]], size: int) -> Iterator[Pairs]:
    for start in range(0, len(sentences), size):
        some = sentences[start : start + size]
        flat = []
        for side in (0, 1):
            flat.append(np.array([word for pair in some for word in pair[side]], np.int64))
            flat.append(np.array([len(pair[side]) for pair in some], np.int64))
        yield Pairs(*flat)


def by_definition(sentences: list[tuple[list[int], list[int]]], passes: int) -> dict:
    empty = SIZES[0]
    t = {(f, e): 1.0 for source, target in sentences for f in [*source, empty] for e in target}
    for _ in range(passes):
        counts = dict.fromkeys(t, 0.0)
        for source, target in sentences:
            for e in target:
                total = sum(t[f, e] for f in [*source, empty])
                for f in [*source, empty]:
                    counts[f, e] += t[f, e] / total
        sums = {f: sum(c for (g, _), c in counts.items() if f == g) for f, _ in counts}
        t = {(f, e): c / sums[f] for (f, e), c in counts.items()}
    return {pair: value for pair, value in t.items() if pair[0] != empty}


@pytest.mark.parametrize("passes", [1, 2, 4])
@pytest.mark.parametrize("size", [1, 7, 100])
def test_it_is_expectation_maximisation_however_the_corpus_is_cut(passes: int, size: int) -> None:
    sentences = draw(60)
    found = ibm1(lambda: parts(sentences, size), SIZES, passes)
    expected = by_definition(sentences, passes)
    entries = list(zip(found.source.tolist(), found.target.tolist(), strict=True))
    assert entries == sorted(expected)
    assert found.probability == pytest.approx([expected[pair] for pair in entries])


def test_words_that_translate_each_other_are_found() -> None:
    rng = np.random.default_rng(3)
    sentences = [([*words], [(word * 3) % 7 for word in words[::-1]])
                 for words in (rng.permutation(7)[:4].tolist() for _ in range(200))]  # fmt: skip
    found = ibm1(lambda: parts(sentences, 50), SIZES, 5).best(1)
    assert found.target.tolist() == [(word * 3) % 7 for word in found.source.tolist()]
    assert len(found.source) == 7


def test_the_best_of_each_word_and_of_equal_ones_the_first() -> None:
    source, target = np.array([2, 2, 2, 5, 5]), np.array([0, 1, 3, 1, 2])
    whole = Lexicon(source, target, np.array([0.2, 0.4, 0.4, 0.5, 0.5]))
    best = whole.best(1)
    assert (best.source.tolist(), best.target.tolist()) == ([2, 5], [1, 1])
    assert whole.best(2).target.tolist() == [1, 3, 1, 2]
    assert len(whole.best(9).source) == 5


def test_a_corpus_without_words() -> None:
    assert len(ibm1(lambda: iter(()), SIZES).source) == 0
    assert len(ibm1(lambda: parts([([], []), ([1], [])], 1), SIZES).source) == 0
