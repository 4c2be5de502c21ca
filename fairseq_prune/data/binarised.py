"""A folder of binarised data: its languages, the counts of its tokens, and new numbers for them."""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fairseq.data import data_utils, indexed_dataset
from torch import Tensor

from fairseq_prune.data.binarised_check import check_stored, check_tokens
from fairseq_prune.data.dictionary import Counts, Dictionary, without_ends
from fairseq_prune.files.text import first_line

Tick = Callable[[int], None]
_BATCH = 10_000  # sentences read at a time
_KINDS = {"mmap": "mmap", "cached": "lazy", "huffman": "huffman"}  # as stored: as read here


@dataclass(frozen=True)
class Split:
    """One side of a split.

    Args:
        name: such as train, valid or test1.
        path: its files without .bin and .idx.
        language: empty where there is only one.
        sentences: fairseq's data set.
        pair: the languages of both sides, in no order.
    """

    name: str
    language: str
    path: Path
    sentences: Any
    pair: frozenset[str] = frozenset()

    @property
    def is_train(self) -> bool:
        """Whether fairseq-train reads it as training data: train, train1, ..."""
        return re.fullmatch(r"train\d*", self.name) is not None


def language_pair(folder: Path) -> tuple[str, str] | None:
    """Source and target language as fairseq finds them in the names of files, or None."""
    source, target = data_utils.infer_language_pair(str(folder))
    return (source, target) if source and target else None


def open_splits(folder: Path, source: str, target: str) -> list[Split]:
    """Every binarised split of this language pair, in either direction, by name.

    Raises ValueError where one cannot be read.
    """
    pair = "|".join(re.escape(f"{a}-{b}") for a, b in ((source, target), (target, source)))
    languages = "|".join(map(re.escape, (source, target)))
    rule = re.compile(rf"([^.]+)\.({pair})\.({languages})\.idx")
    found = filter(None, map(rule.fullmatch, sorted(os.listdir(folder))))
    return [
        Split(match[1], match[3], path, _open(path), frozenset((source, target)))
        for match in found
        for path in [folder / match[0].removesuffix(".idx")]
    ]


def open_texts(folder: Path) -> list[Split]:
    """Every binarised split of a language model, which names no language, by name.

    Raises ValueError where one cannot be read.
    """
    found = filter(None, map(re.compile(r"([^.]+)\.idx").fullmatch, sorted(os.listdir(folder))))
    return [Split(match[1], "", folder / match[1], _open(folder / match[1])) for match in found]


def _open(path: Path) -> Any:
    check_stored(path)
    try:
        stored = indexed_dataset.infer_dataset_impl(str(path))
        if stored in _KINDS:
            return indexed_dataset.make_dataset(str(path), _KINDS[stored], fix_lua_indexing=True)
    except Exception as error:  # assertions, struct.error, memory maps of empty files
        raise ValueError(f"{path}.idx cannot be read: {first_line(error, 160)}.") from None
    raise ValueError(
        f"{path} is stored as {stored}, which cannot be renumbered: binarise it with "
        "fairseq-preprocess --dataset-impl mmap."
    )


def count_tokens(splits: Sequence[Split], dictionary: Dictionary, tick: Tick) -> Counts:
    """How often each token is in these splits.

    Args:
        tick: called with numbers of sentences.
    """
    counts = np.zeros(len(dictionary), dtype=np.int64)
    for split in splits:
        for ids, _ in _batches(split, len(dictionary), tick):
            counts += np.bincount(ids.numpy(), minlength=len(counts))
    return without_ends(counts)


def renumber(split: Split, numbers: Tensor, size: int, folder: Path, tick: Tick) -> None:
    """Write a split with other numbers for its tokens into a folder, under its own name.

    Args:
        numbers: the new number of each token.
        size: how many tokens the new dictionary has.
        tick: called with numbers of sentences.
    """
    prefix = str(folder / split.path.name)
    builder = indexed_dataset.make_builder(f"{prefix}.bin", "mmap", vocab_size=size)
    for ids, lengths in _batches(split, len(numbers), tick):
        for sentence in numbers[ids].split(lengths):
            builder.add_item(sentence)
    builder.finalize(f"{prefix}.idx")


def copy_alignments(data: Path, folder: Path) -> None:
    """Copy alignments of words: they are positions, which renumbering does not change."""
    for path in data.iterdir():
        if re.fullmatch(r"[^.]+\.align\.[^.]+\.(bin|idx)", path.name):
            shutil.copyfile(path, folder / path.name)


def _batches(split: Split, size: int, tick: Tick) -> Iterator[tuple[Tensor, list[int]]]:
    """Yields the tokens of many sentences in a row, and the length of each sentence."""
    for start in range(0, len(split.sentences), _BATCH):
        stop = min(start + _BATCH, len(split.sentences))
        sentences = [split.sentences[i] for i in range(start, stop)]
        ids = torch.cat(sentences).long()
        check_tokens(ids, size, f"{split.path}.bin")
        yield ids, [len(sentence) for sentence in sentences]
        tick(stop - start)
