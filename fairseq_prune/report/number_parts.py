"""The parts of a report that numbers fill: each a heading, what it means, and its tables."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fairseq_prune.files.table import Table
from fairseq_prune.report.bootstrap import SIGNATURE
from fairseq_prune.report.number_tables import (
    comparison_table,
    example_table,
    length_table,
    limit_table,
    rarity_table,
    share_table,
)
from fairseq_prune.report.numbers import Numbers
from fairseq_prune.report.points import models_of

POOLED = (
    f"Paired bootstrap, sacreBLEU {SIGNATURE}. Seeds are tested together: each sample draws the "
    "same sentences for all of them, and p is of the mean over seeds of the difference to each "
    "seed's dense model (seeds share the sentences, so that tests of each cannot be multiplied)"
)
LIMITS = (
    "The largest sparsity that is not significantly worse than dense, nor is any smaller one that "
    "was tested. Significantly worse: the mean BLEU over seeds is lower than that of the dense "
    f"models of the same data and seeds, and p < 0.05. {POOLED}; seeds worse: those that are so "
    "alone. One test for each point: nothing is corrected for their number. - where the smallest "
    "tested sparsity is worse, or where none is."
)
TESTS = (
    f"{POOLED}, beside it that of each seed. sacreBLEU gives the smallest p, 0.0010, to two "
    "systems that say the same too: worse asks for a lower BLEU as well. significance.csv names "
    "the dense checkpoint of each."
)
SHARES = (
    "Percent of the sentences. Empty: no word. Repeats: a phrase of 2 to 10 words three times in a "
    "row or a word four times, where the reference has no such loop. Copied: more than half of its "
    "words are words of the source, and not more than half words of the reference. Long: more than "
    "twice the words of the reference. Flagged: more than 5 points above the dense model. Words "
    "are what spaces separate."
)
PARTS = (
    "sacreBLEU BLEU of a quarter of the test set each: by words of the reference, and by the "
    "smallest count in training among the reference's subwords (fairseq's dictionary; 0: unknown). "
    "Dense, and of each stage the largest sparsity that is not significantly worse and the "
    "smallest that is, class-blind where it was tested; means over seeds."
)
CHANGES = (
    "The ten sentences whose chrF changed most from dense, from the largest loss to the largest "
    "gain."
)


@dataclass(frozen=True)
class Part:
    """A part of a report.

    Args:
        heading, caption: plain text.
        tables: with a row at least.
        texts: whether the tables' columns 1 to 4 are sentences of the test set.
    """

    heading: str
    caption: str
    tables: Sequence[Table]
    texts: bool = False


def parts_of(numbers: Numbers) -> list[Part]:
    """The parts in their order; those without data are left out."""
    models = models_of(numbers.points)
    made = [
        Part("How far each method goes", LIMITS, [limit_table(numbers)]),
        Part("Significance", TESTS, [comparison_table(numbers)]),
        Part("Degenerate outputs", SHARES, [share_table(numbers)]),
        Part("Long sentences and rare words", PARTS,
             [f(numbers, m) for m in models for f in (length_table, rarity_table)]),
    ]  # fmt: skip
    for model in models:
        table = example_table(numbers, model)
        heading = f"What changed most: {model}, {table[0][4]}" if len(table) > 1 else ""
        made.append(Part(heading, CHANGES, [table], texts=True))
    made = [replace(part, tables=[t for t in part.tables if len(t) > 1]) for part in made]
    return [part for part in made if part.tables]
