"""Scores on parts of a test set: sentences by length, and by how rare their rarest subword is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sacrebleu.metrics import BLEU

from fairseq_prune.evaluation.sentences import Sentence
from fairseq_prune.evaluation.unknown import unmatched
from fairseq_prune.report.outputs import Output, Reference

PARTS = 4


@dataclass(frozen=True)
class Bucket:
    """The sentences whose number lies in [first, last].

    Args:
        first, last: words of the reference, or counts in training.
        members: positions of the sentences in the test set.
    """

    first: int
    last: int
    members: Sequence[int]


def length(sentence: Sentence) -> int:
    """Words of the reference."""
    return len(sentence.reference.split())


def rarity(sentence: Sentence) -> int | None:
    """The smallest count in training among the reference's subwords."""
    return sentence.rarest


def buckets(reference: Reference, number: Callable[[Sentence], int | None]) -> list[Bucket]:
    """The test set in up to four parts of about the same size, sentences of one number together.

    None at all where it cannot be parted: no numbers, or one only.
    """
    numbers = {i: n for i, s in enumerate(reference.sentences) if (n := number(s)) is not None}
    order = sorted(numbers, key=lambda i: (numbers[i], i))
    made: list[list[int]] = []
    for place, i in enumerate(order):
        part = place * PARTS // len(order)
        together = made and numbers[made[-1][-1]] == numbers[i]
        if together or (made and len(made) > part):
            made[-1].append(i)
        else:
            made.append([i])
    if len(made) < 2:
        return []
    return [Bucket(numbers[part[0]], numbers[part[-1]], part) for part in made]


def bleu(output: Output, bucket: Bucket) -> float:
    """sacreBLEU's corpus BLEU of a bucket's sentences."""
    lines = [output.lines[i] for i in bucket.members]
    references = [output.reference.sentences[i].reference for i in bucket.members]
    lines, references = unmatched(lines, references)
    return float(BLEU().corpus_score(lines, [references]).score)
