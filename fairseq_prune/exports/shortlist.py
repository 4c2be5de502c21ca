"""A lexical shortlist: for each source word the target words that may translate it.

A softmax over the words of a sentence's list takes a fraction of the time of one over all words
(L'Hostis et al. 2016, https://arxiv.org/abs/1610.00072). The candidates are those of IBM model 1 on
the binarised training data; the text is CTranslate2's vmap: a source word, a tab, target words, and
in a line of no source word what is always there. CTranslate2 adds <unk>, <s> and </s>, and joins
the lists of a batch.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairseq_prune.data.binarised import Split, open_splits
from fairseq_prune.data.binarised_check import check_tokens
from fairseq_prune.data.dictionary import SPECIALS
from fairseq_prune.maths.lexicon import Lexicon, Pairs, ibm1

PASSES = 3  # more find no more of the reference's words in lists of the same size
_LONGEST = 100  # tokens of a side: longer sentences say little, and have very many pairs of words
_MOST = 200_000_000  # pairs of words in a pass; of a larger corpus every second sentence, or third
_PART = 5_000  # sentences in memory
_EOS = SPECIALS.index("</s>")
_PAD = SPECIALS.index("<pad>")
_OWN = [SPECIALS.index(token) for token in ("<unk>", "<s>", "</s>")]  # CTranslate2 adds them

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Coverage:
    """How much of the references a shortlist leaves possible.

    Args:
        subset: the split that it was measured on.
        tokens: the fraction of the reference's tokens that are in the list of their sentence.
        sentences: the fraction of sentences of which all are.
        words: of a sentence's list, on average.
    """

    subset: str
    tokens: float
    sentences: float
    words: float


@dataclass(frozen=True)
class Shortlist:
    """The target words that may translate each source word.

    Args:
        candidates: how many of the most probable each word has at most, and how many of the most
            frequent every sentence has.
        words: the candidates of each source word, by its number; none of a word without any.
        always: what every sentence has, CTranslate2's own three apart.
        pairs: how many pairs of sentences it was learnt from.
        of: how many the training data have.
        coverage: None where the data have no validation set.
    """

    candidates: int
    words: Sequence[NDArray[np.int64]]
    always: NDArray[np.int64]
    pairs: int
    of: int
    coverage: Coverage | None

    def text(self, vocabularies: tuple[list[str], list[str]]) -> str:
        """The file, for these tokens of source and target."""
        source, target = vocabularies
        lines = ["\t" + " ".join(target[word] for word in self.always)]
        for word, candidates in zip(source, self.words, strict=True):
            if len(candidates):
                lines.append(f"{word}\t{' '.join(target[other] for other in candidates)}")
        return "".join(line + "\n" for line in lines)

    def facts(self) -> dict[str, Any]:
        """What a folder's config.json says of it."""
        found = None if self.coverage is None else vars(self.coverage)
        return {
            "kind": "IBM model 1", "passes": PASSES, "candidates": self.candidates,
            "pairs": self.pairs, "of": self.of, "coverage": found,
        }  # fmt: skip


def shortlist_of(
    data: Path,
    languages: tuple[str, str],
    vocabularies: tuple[list[str], list[str]],
    candidates: int,
    tell: Tell = lambda _: None,
) -> Shortlist:
    """The shortlist that the binarised training data in a folder make.

    Args:
        vocabularies: the tokens of source and target.
        tell: is told how far it is.

    Raises ValueError where the data have no training set of this pair, or one of another
    dictionary.
    """
    for tokens in vocabularies:
        _check_tokens(tokens, data)
    splits = _sides(data, languages)
    train = [sides for sides in splits if sides[0].is_train]
    if not train:
        raise ValueError(
            f"--shortlist is made of the training data, and --data {data} has no binarised train "
            f"of {' and '.join(languages)}: give the folder that the model was trained on."
        )
    corpus = _Corpus(train, (len(vocabularies[0]), len(vocabularies[1])), tell)
    lexicon = ibm1(corpus, corpus.sizes, PASSES).best(candidates)
    words = _lists(lexicon, vocabularies)
    first = len(SPECIALS)
    often = np.argsort(-corpus.counts[first:], kind="stable")[:candidates] + first
    # <pad> too, which has its share of the softmax: a list of all words changes no probability
    always = np.sort(np.append(often, _PAD))
    made = Shortlist(candidates, words, always, corpus.pairs, corpus.of, None)
    return replace(made, coverage=_coverage(made, splits, corpus.sizes))


def _check_tokens(tokens: Sequence[str], data: Path) -> None:
    for token in tokens:
        if not token or any(sign in token for sign in " \t\n\r"):
            raise ValueError(
                f"--shortlist cannot hold the token {token!r} of --data {data}: it has a space in "
                "it; leave --shortlist out."
            )


def _sides(data: Path, languages: tuple[str, str]) -> list[tuple[Split, Split]]:
    """The splits that have both sides, as many sentences in each: source and target."""
    by_place: dict[str, dict[str, Split]] = {}
    for split in open_splits(data, *languages):
        by_place.setdefault(split.path.name.removesuffix(split.language), {})[split.language] = (
            split
        )
    found = [
        (sides[languages[0]], sides[languages[1]])
        for sides in by_place.values()
        if len(sides) == len(languages)
    ]
    for source, target in found:
        sizes = len(source.sentences), len(target.sentences)
        if sizes[0] != sizes[1]:
            raise ValueError(
                f"{source.path} has {sizes[0]:,} sentences and {target.path.name} {sizes[1]:,}: "
                "they are no translations of each other; binarise the data again."
            )
    return found


class _Corpus:
    """Gives the pairs of sentences of the training data, anew at each call.

    ``counts`` has how often each target word is in those of the first call, ``pairs`` and ``of``
    how many pairs are given and how many there are.
    """

    def __init__(
        self, sides: Sequence[tuple[Split, Split]], sizes: tuple[int, int], tell: Tell
    ) -> None:
        self._sides, self.sizes, self._tell = sides, sizes, tell
        self.counts = np.zeros(sizes[1], np.int64)
        self._passes = 0
        self._numbers = [_short(*pair) for pair in sides]
        links = sum(
            _links(*pair, numbers) for pair, numbers in zip(sides, self._numbers, strict=True)
        )
        step = -(-links // _MOST) or 1
        self._numbers = [numbers[::step] for numbers in self._numbers]
        self.pairs = sum(map(len, self._numbers))
        self.of = sum(len(source.sentences) for source, _ in sides)

    def __call__(self) -> Iterator[Pairs]:
        self._passes += 1
        done = 0
        for (source, target), numbers in zip(self._sides, self._numbers, strict=True):
            for start in range(0, len(numbers), _PART):
                some = numbers[start : start + _PART]
                pairs = Pairs(
                    *_read(source, some, self.sizes[0]), *_read(target, some, self.sizes[1])
                )
                if self._passes == 1:
                    self.counts += np.bincount(pairs.target, minlength=self.sizes[1])
                yield pairs
                done += len(some)
                self._tell(
                    f"shortlist, pass {self._passes} of {PASSES}, {done:,} of {self.pairs:,}"
                )


def _short(source: Split, target: Split) -> NDArray[np.int64]:
    """The numbers of the pairs that are not too long."""
    longest = np.maximum(_sizes(source), _sizes(target))
    return np.flatnonzero(longest <= _LONGEST)


def _links(source: Split, target: Split, numbers: NDArray[np.int64]) -> int:
    """How many pairs of words these pairs of sentences have."""
    return int((_sizes(source)[numbers] * _sizes(target)[numbers]).sum())


def _sizes(split: Split) -> NDArray[np.int64]:
    return np.asarray(split.sentences.sizes, np.int64).reshape(-1)


def _read(
    split: Split, numbers: Sequence[int] | NDArray[np.int64], size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The words of these sentences, without their ends, and the length of each."""
    sentences = [split.sentences[int(number)] for number in numbers]
    rows = [row[:-1] if len(row) and int(row[-1]) == _EOS else row for row in sentences]
    for row in rows:
        check_tokens(row, size, f"{split.path}.bin")
    lengths = np.array([len(row) for row in rows], np.int64)
    flat = np.concatenate([row.numpy() for row in rows]) if rows else np.empty(0)
    return flat.astype(np.int64), lengths


def _lists(lexicon: Lexicon, vocabularies: tuple[list[str], list[str]]) -> list[NDArray[np.int64]]:
    """The candidates of each source word: the lexicon's, and the word itself where the target's
    dictionary has it, as names and numbers stay what they are."""
    source, target = vocabularies
    ends = np.searchsorted(lexicon.source, np.arange(len(source) + 1))
    own = {word: number for number, word in enumerate(target)}
    found = []
    for number, word in enumerate(source):
        candidates = lexicon.target[ends[number] : ends[number + 1]]
        same = [own[word]] if word in own and number >= len(SPECIALS) else []
        whole = np.union1d(candidates, np.array(same, np.int64)).astype(np.int64)
        found.append(whole[whole >= len(SPECIALS)])
    return found


def _coverage(
    shortlist: Shortlist, splits: Sequence[tuple[Split, Split]], sizes: tuple[int, int]
) -> Coverage | None:
    """Measured on the validation set; None where the data have none, or an empty one."""
    valid = [sides for sides in splits if sides[0].name == "valid"]
    if not valid or not len(valid[0][0].sentences):
        return None
    source, target = valid[0]
    always = np.zeros(sizes[1], bool)
    always[shortlist.always] = always[_OWN] = True
    inside = tokens = whole = words = 0
    for number in range(len(source.sentences)):
        read, _ = _read(source, [number], sizes[0])
        wanted, _ = _read(target, [number], sizes[1])
        possible = always.copy()
        for word in read:
            possible[shortlist.words[word]] = True
        there = possible[wanted]
        inside += int(there.sum())
        tokens += len(wanted)
        whole += bool(there.all())
        words += int(possible.sum())
    count = len(source.sentences)
    return Coverage("valid", inside / max(tokens, 1), whole / count, words / count)
