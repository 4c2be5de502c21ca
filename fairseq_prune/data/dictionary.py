"""A dictionary of fairseq's, which of its tokens a corpus uses, and their new numbers.

A line of ``dict.LANG.txt`` is ``TOKEN COUNT``; the first of them is token 4, after ``<s>``,
``<pad>``, ``</s>`` and ``<unk>``, which are in no file (fairseq/data/dictionary.py).
``fairseq-preprocess`` fills a dictionary up to a multiple of 8 with ``madeupword0000 0`` and so on,
which no text has.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SPECIALS = ("<s>", "<pad>", "</s>", "<unk>")
UNK = 3
# language tags, control symbols and the bytes of sentencepiece's byte fallback: a decoder can need
# them where a corpus has none
_TAG = re.compile(r"<[^<>]+>|__\w+__|\[[a-z]{2,3}(_[A-Za-z]{2,4})?\]")
_OVERWRITE = "#fairseq:overwrite"
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Dictionary:
    """The tokens of one language.

    Args:
        path: its file.
        lines: of the file, one a token, without line ends.
        tokens: all of them by number: the special ones, those of the file, and those that the
            task puts after them.
    """

    path: str
    lines: tuple[str, ...]
    tokens: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.tokens)

    def text(self, kept: Tensor) -> str:
        """The file with these tokens only, their lines as they were."""
        first = len(SPECIALS)
        end = first + len(self.lines)
        return "".join(f"{self.lines[i - first]}\n" for i in kept.tolist() if first <= i < end)


@dataclass(frozen=True)
class Choice:
    """Which tokens of one dictionary stay.

    Args:
        counts: how often the corpus has each token.
        kept: numbers of the tokens that stay, rising.
    """

    dictionary: Dictionary
    counts: Counts
    kept: Tensor

    @property
    def removed(self) -> int:
        """How many tokens go."""
        return len(self.dictionary) - len(self.kept)

    @property
    def used(self) -> int:
        """How many tokens the corpus has."""
        return int(self.counts.sum())

    @property
    def lost(self) -> int:
        """How many of them become <unk>."""
        return self.used - int(self.counts[self.kept.numpy()].sum())

    def renumbering(self) -> Tensor:
        """For each token its new number; <unk>'s for those that go."""
        return renumbering(len(self.dictionary), self.kept)


def renumbering(size: int, kept: Tensor) -> Tensor:
    """The new number of each of ``size`` tokens when those in ``kept`` stay, in their order."""
    table = torch.full((size,), UNK)
    table[kept] = torch.arange(len(kept))
    return table


def read_dictionary(path: Path, appended: Sequence[str] = ()) -> Dictionary:
    """The dictionary in a file; raises ValueError where it is none.

    Args:
        appended: what the task adds to it, where it does not have it.
    """
    lines = tuple(line.rstrip("\n") for line in _lines_of(path))
    tokens = [_token(path, number, line) for number, line in enumerate(lines, start=1)]
    known = {*SPECIALS, *tokens}
    added = [token for token in dict.fromkeys(appended) if token not in known]
    return Dictionary(str(path), lines, (*SPECIALS, *tokens, *added))


def languages_of(data: Path, task: Mapping[str, Any]) -> tuple[str, str]:
    """Source and target language: as the task was told, or as the folder's file names say.

    Raises ValueError where neither does.
    """
    source, target = task.get("source_lang"), task.get("target_lang")
    if source and target:
        return str(source), str(target)
    # fairseq's own rule: SPLIT.SOURCE-TARGET.LANG.idx
    for path in sorted(data.iterdir()):
        parts = path.name.split(".")
        if len(parts) >= 3 and parts[1].count("-") == 1:
            source, target = parts[1].split("-")
            return source, target
    raise ValueError(
        f"--data {data} has no binarised sentences and the checkpoint names no languages: give the "
        "folder that fairseq-preprocess made."
    )


def _token(path: Path, number: int, line: str) -> str:
    token, _, count = line.rstrip().rpartition(" ")
    if count == _OVERWRITE:
        token, _, count = token.rpartition(" ")
    if not token or not re.fullmatch(r"-?\d+", count):
        raise ValueError(
            f"{path} line {number}: {line[:80]!r} is not `TOKEN COUNT`; give the dictionary that "
            "fairseq-preprocess wrote."
        )
    return token


def count_text(path: Path, dictionary: Dictionary) -> Counts:
    """How often each token is in a text, tokenised as the training data; unknown ones are <unk>.

    Raises ValueError where the text cannot be read or is empty.
    """
    words: Counter[str] = Counter()
    for line in _lines_of(path):
        words.update(line.split())  # at any white space, as fairseq's tokenize_line
    if not words:
        raise ValueError(f"{path} has no words: give text, tokenised as the training data was.")
    # of two equal tokens fairseq's own look-up finds the later one
    numbers = {token: number for number, token in enumerate(dictionary.tokens)}
    counts = np.zeros(len(dictionary), dtype=np.int64)
    for word, count in words.items():
        counts[numbers.get(word, UNK)] += count
    return without_ends(counts)


def without_ends(counts: Counts) -> Counts:
    """The counts without sentence ends and padding, which are no words of a text."""
    counts[:UNK] = 0
    return counts


def _lines_of(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8") as file:
            yield from file
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8 (byte {error.object[error.start]:#04x}): convert it, as with "
            "iconv -t UTF-8."
        ) from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from None


def choose(
    dictionaries: Mapping[str, Dictionary],
    counts: Mapping[str, Counts],
    min_count: int,
    groups: Iterable[Iterable[str]] = (),
) -> dict[str, Choice]:
    """By key, the tokens that the corpus has ``min_count`` times or more.

    Special tokens, what looks like a tag and what the task adds stay in any case, and so does a
    dictionary whole that nothing was counted for.

    Args:
        counts: by key, how often each token occurs.
        groups: keys that have one dictionary; the sum of their counts decides.

    Raises ValueError where no other token would stay.
    """
    together = {key: [*group] for group in groups for key in group}
    choices = {}
    for key, dictionary in dictionaries.items():
        parts = [counts[one] for one in together.get(key, [key]) if one in counts]
        own = counts.get(key, np.zeros(len(dictionary), dtype=np.int64))
        if not parts:
            choices[key] = Choice(dictionary, own, torch.arange(len(dictionary)))
            continue
        deciding = np.sum(parts, axis=0)
        used = deciding[len(SPECIALS) :]
        if not (used >= min_count).any():
            raise ValueError(
                f"--min-count {min_count} leaves no token of {dictionary.path}: the most frequent "
                f"one occurs {int(used.max(initial=0)):,} times; give a lower one, or the corpus "
                "that the dictionary is for."
            )
        always = np.array([bool(_TAG.fullmatch(token)) for token in dictionary.tokens])
        always[len(SPECIALS) + len(dictionary.lines) :] = True
        kept = torch.from_numpy(np.flatnonzero(always | (deciding >= min_count)))
        choices[key] = Choice(dictionary, own, kept)
    return choices
