"""What ``fairseq-prune vocab`` reads beside the checkpoint: dictionaries, splits and counts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fairseq_prune.checkpoints.checkpoint import Opened
from fairseq_prune.checkpoints.languages import ONE_PAIR, SOURCE, Vocabularies, vocabularies_of
from fairseq_prune.checkpoints.vocabulary import Tables
from fairseq_prune.data.dictionary import Counts, Dictionary, count_text, read_dictionary

if TYPE_CHECKING:  # fairseq takes seconds to load
    from fairseq_prune.data.binarised import Split

Phase = Callable[[int], Callable[[int], None]]  # from the total to what is told of each part


def vocabularies_in(opened: Opened, data: str, pairs: Sequence[str] | None) -> Vocabularies:
    """The dictionaries of a checkpoint: as it says, else as the names of the files do.

    Args:
        pairs: of --pairs, or None.

    Raises ValueError where neither says the languages of a pair.
    """
    from fairseq_prune.data.binarised import language_pair

    its = vocabularies_of(opened, pairs)
    if its.task not in ONE_PAIR or its.languages[SOURCE]:
        return its
    pair = language_pair(Path(data))
    if pair is None:
        raise ValueError(
            f"Neither {opened.path} nor the names of the files in --data {data} say what the "
            "languages are: give the folder that fairseq-preprocess wrote."
        )
    return vocabularies_of(opened, pairs, pair)


def dictionaries_of(
    opened: Opened, tables: Tables, data: str, its: Vocabularies
) -> dict[str, Dictionary]:
    """By key, the dictionary in the folder; raises ValueError where it is not the checkpoint's."""
    found = {}
    for key in its.languages:
        path = Path(its.files.get(key, Path(data) / its.file_of(key)))
        if not path.is_file():
            raise ValueError(_lacking(opened, data, its, key))
        found[key] = read_dictionary(path, its.appended)
        size = len(found[key])
        if size != tables.rows[key]:
            added = size - len(found[key].lines) - 4
            more = f" and {added} that the task adds" if added else ""
            raise ValueError(
                f"{path} has {size:,} tokens, special ones{more} included, and "
                f"{tables.first(key)} of {opened.path} has {tables.rows[key]:,} rows: give "
                "--data the folder that the model was trained on."
            )
    for group in tables.groups:
        other = next((k for k in group if found[k].tokens != found[group[0]].tokens), None)
        if other is not None:
            pair = len(its.languages) == 2
            both = "both languages" if pair else f"{its.languages[group[0]]} and {other}"
            raise ValueError(
                f"{opened.path} has one table for {both}, but the dictionaries in --data {data} "
                "differ: give the folder that the model was trained on."
            )
    return found


def _lacking(opened: Opened, data: str, its: Vocabularies, key: str) -> str:
    if key in its.files:
        return (
            f"{opened.path} has its dictionary in {its.files[key]} (--fixed-dictionary, "
            "--source-dict or --target-dict), which is not there: put the file there again."
        )
    some = ", or --pairs with the pairs that it is for" if its.settings else ""
    return (
        f"--data {data} has no {its.file_of(key)}: give the folder that the model was trained "
        f"on{some}."
    )


def splits_of(data: str, its: Vocabularies) -> "list[Split]":
    """The binarised splits of a task, each once; raises ValueError where one cannot be read."""
    from fairseq_prune.data.binarised import open_splits, open_texts

    if not its.every:
        return open_texts(Path(data))
    found: dict[Path, Split] = {}
    for source, target in dict.fromkeys(tuple(sorted(pair)) for pair in its.every):
        splits = open_splits(Path(data), its.languages[source], its.languages[target])
        found |= {split.path: split for split in splits}
    return list(found.values())


def key_of(split: "Split", its: Vocabularies) -> str:
    """The key of the dictionary of a split's tokens."""
    return next(key for key, language in its.languages.items() if language == split.language)


def counts_in_text(
    prefixes: Sequence[str], dictionaries: Mapping[str, Dictionary], its: Vocabularies,
    phase: Phase,
) -> dict[str, Counts]:  # fmt: skip
    """By key, the counts in the texts PREFIX.LANGUAGE together; of a language model, in PREFIX.

    Of several languages a prefix has those that it has files of; each has to have one somewhere.
    """
    texts = list(_texts(prefixes, its))
    done = phase(len(texts))
    counts = {key: np.zeros(len(dictionaries[key]), dtype=np.int64) for key in its.used}
    for key, path in texts:
        counts[key] += count_text(path, dictionaries[key])
        done(1)
    return counts


def _texts(prefixes: Sequence[str], its: Vocabularies) -> Iterator[tuple[str, Path]]:
    if not its.every:
        yield from ((key, Path(prefix)) for prefix in prefixes for key in its.languages)
        return
    for key in sorted(its.used, key=list(its.languages).index):
        paths = [Path(f"{prefix}.{its.languages[key]}") for prefix in prefixes]
        if its.task not in ONE_PAIR:
            there = [path for path in paths if path.is_file()]
            paths = there or paths  # none: the first is refused by name
        yield from ((key, path) for path in paths)


def counts_in_train(
    splits: Sequence["Split"], dictionaries: Mapping[str, Dictionary], its: Vocabularies,
    data: str, phase: Phase,
) -> dict[str, Counts]:  # fmt: skip
    """By key, the counts in the binarised training data; raises ValueError where there is none."""
    from fairseq_prune.data.binarised import count_tokens

    train: dict[str, list[Split]] = {key: [] for key in its.used}
    pairs = [frozenset(its.languages[key] for key in pair) for pair in its.counted]
    counting = [split for split in splits if split.is_train and (not pairs or split.pair in pairs)]
    for split in counting:
        train[key_of(split, its)].append(split)
    lacking = [
        "-".join(pair)
        for pair, both in zip(its.counted, pairs, strict=True)
        if both not in {split.pair for split in counting}
    ]
    if lacking or not all(train.values()):
        several = bool(lacking) and its.task not in ONE_PAIR
        what, instead = (
            (f" of {lacking[0]}", ", or leave it out of --pairs") if several else ("", "")
        )
        raise ValueError(
            f"--data {data} has no binarised train split{what} to count tokens in: give --corpus "
            f"PREFIX, text that is tokenised as the training data was{instead}."
        )
    done = phase(sum(len(split.sentences) for split in counting))
    return {key: count_tokens(train[key], dictionaries[key], done) for key in train}
