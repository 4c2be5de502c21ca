"""What ``fairseq-prune vocab`` reads beside the checkpoint: dictionaries, splits and counts."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fairseq_prune.network.options import task_options
from fairseq_prune.pruning.dictionary import Counts, Dictionary, count_text, read_dictionary
from fairseq_prune.pruning.opened import Opened
from fairseq_prune.pruning.vocab import SOURCE, TARGET, Tables

if TYPE_CHECKING:  # fairseq takes seconds to load
    from fairseq_prune.tasks.binarised import Split

Phase = Callable[[int], Callable[[int], None]]  # from the total to what is told of each part


def languages_of(opened: Opened, data: str) -> dict[str, str]:
    """By side, the language: as the checkpoint says, else as the names of the files do.

    Raises ValueError where neither does.
    """
    from fairseq_prune.tasks.binarised import language_pair

    task = task_options(opened.content)
    names = [task.get(f"{side}_lang") for side in (SOURCE, TARGET)]
    pair = names if all(names) else language_pair(Path(data))
    if pair is None:
        raise ValueError(
            f"Neither {opened.path} nor the names of the files in --data {data} say what the "
            "languages are: give the folder that fairseq-preprocess wrote."
        )
    return {SOURCE: str(pair[0]), TARGET: str(pair[1])}


def dictionaries_of(
    opened: Opened, tables: Tables, data: str, languages: Mapping[str, str]
) -> dict[str, Dictionary]:
    """By side, the dictionary in the folder; raises ValueError where it is not the checkpoint's."""
    found = {}
    for side, language in languages.items():
        path = Path(data) / f"dict.{language}.txt"
        if not path.is_file():
            raise ValueError(
                f"--data {data} has no {path.name}: give the folder that the model was trained on."
            )
        found[side] = read_dictionary(path)
        if len(found[side]) != tables.rows[side]:
            raise ValueError(
                f"{path} has {len(found[side]):,} tokens, special ones included, and "
                f"{tables.first(side)} of {opened.path} has {tables.rows[side]:,} rows: give "
                "--data the folder that the model was trained on."
            )
    if tables.shared and found[SOURCE].tokens != found[TARGET].tokens:
        raise ValueError(
            f"{opened.path} has one table for both languages, but the dictionaries in --data "
            f"{data} differ: give the folder that the model was trained on."
        )
    return found


def counts_in_text(
    prefixes: Sequence[str], dictionaries: Mapping[str, Dictionary], languages: Mapping[str, str],
    phase: Phase,
) -> dict[str, Counts]:  # fmt: skip
    """By side, the counts in the texts PREFIX.LANGUAGE together."""
    done = phase(len(prefixes) * len(languages))
    counts = {side: np.zeros(len(its), dtype=np.int64) for side, its in dictionaries.items()}
    for prefix in prefixes:
        for side, language in languages.items():
            counts[side] += count_text(Path(f"{prefix}.{language}"), dictionaries[side])
            done(1)
    return counts


def counts_in_train(
    splits: Sequence["Split"], dictionaries: Mapping[str, Dictionary], languages: Mapping[str, str],
    data: str, phase: Phase,
) -> dict[str, Counts]:  # fmt: skip
    """By side, the counts in the binarised training data; raises ValueError where there is none."""
    from fairseq_prune.tasks.binarised import count_tokens

    train = {
        side: [split for split in splits if split.is_train and split.language == language]
        for side, language in languages.items()
    }
    if not all(train.values()):
        raise ValueError(
            f"--data {data} has no binarised train split to count tokens in: give --corpus PREFIX, "
            "text that is tokenised as the training data was."
        )
    done = phase(sum(len(split.sentences) for its in train.values() for split in its))
    return {side: count_tokens(train[side], dictionaries[side], done) for side in train}
