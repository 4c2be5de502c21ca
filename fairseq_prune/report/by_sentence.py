"""The test set sentence by sentence: BLEU by length and by rare words, and what changed most."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sacrebleu.metrics import BLEU, CHRF

from fairseq_prune.evaluation.sentences import Sentence
from fairseq_prune.evaluation.unknown import unmatched
from fairseq_prune.report.measures import Measures
from fairseq_prune.report.outputs import Output, Reference
from fairseq_prune.report.points import Place, Point, which_seed
from fairseq_prune.report.significance import Limit, dense_points
from fairseq_prune.study.stages import STAGES

BUCKETS = 4
SHOWN = 10  # of the sentences that changed


@dataclass(frozen=True)
class Column:
    """What tables of parts of the test set show: the seeds of a place, with its label."""

    label: str
    points: Sequence[Point]

    @property
    def heading(self) -> str:
        """The label, and how many seeds it is of."""
        count = len(self.points)
        return f"{self.label}, {'1 seed' if count == 1 else f'mean of {count} seeds'}"


def chosen(measures: Measures, model: str) -> list[Column]:
    """Of a model: dense, and of each stage the last harmless sparsity and the first worse one.

    Of the method class-blind where the stage has it, else of the first; of all seeds that were
    tested on the sentences of the first. Empty where no pruned point was tested.
    """
    bases = dense_points(measures.points)
    tested = [p for p in measures.points if p.model == model and p.key in measures.tests.each]
    if not tested:
        return []
    name = measures.outputs[tested[0].key].reference.name
    tested = [p for p in tested if measures.outputs[p.key].reference.name == name]
    columns = []
    for stage in STAGES:
        for place in _places(measures.limits, model, stage):
            mine = [p for p in tested if p.place == place]
            columns += [Column(mine[0].label, mine)] if mine else []
    dense = {bases[p.key].key: bases[p.key] for column in columns for p in column.points}
    return [Column("dense", list(dense.values())), *columns] if dense else []


def _places(found: Sequence[Limit], model: str, stage: str) -> list[Place]:
    mine = [limit for limit in found if (limit.model, limit.stage) == (model, stage)]
    mine = [limit for limit in mine if limit.scheme == "class-blind"] or mine
    return [p for limit in mine[:1] for p in (limit.harmless, limit.first_worse) if p is not None]


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
        part = place * BUCKETS // len(order)
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
    return float(BLEU(force=True).corpus_score(lines, [references]).score)


@dataclass(frozen=True)
class Change:
    """One sentence under two models.

    Args:
        number: its line in the test set, from 1.
        sentence: source and reference.
        dense, pruned: the two translations.
        dense_chrf, pruned_chrf: sacreBLEU's sentence chrF of each, in [0, 100].
    """

    number: int
    sentence: Sentence
    dense: str
    pruned: str
    dense_chrf: float
    pruned_chrf: float

    @property
    def difference(self) -> float:
        """chrF gained by pruning; negative where it is lost."""
        return self.pruned_chrf - self.dense_chrf


def changes(dense: Output, pruned: Output) -> list[Change]:
    """The ten sentences whose chrF changed most, from the largest loss to the largest gain.

    Of equal changes the earlier sentence counts; sentences of equal chrF are left out.
    """
    metric = CHRF()
    found = []
    triples = zip(dense.reference.sentences, dense.lines, pruned.lines, strict=True)
    for number, (sentence, before, after) in enumerate(triples, 1):
        if before != after:
            texts, references = unmatched([before, after], [sentence.reference])
            scores = [metric.sentence_score(text, references).score for text in texts]
            found.append(Change(number, sentence, before, after, *scores))
    found = [change for change in found if change.difference]
    found.sort(key=lambda change: -abs(change.difference))
    return sorted(found[:SHOWN], key=lambda change: change.difference)


@dataclass(frozen=True)
class Example:
    """A point whose sentences are shown, its label, and those that changed most."""

    label: str
    point: Point
    changes: Sequence[Change]


def example(measures: Measures, model: str) -> Example | None:
    """The column of :func:`chosen` to look at, by its first seed, and what changed most.

    It is the sparsest retrained one; where there is none, a ticket, sparse from the beginning, or
    pruned one. None where no point was tested.
    """
    bases = dense_points(measures.points)
    columns = chosen(measures, model)[1:]
    shown = [stage for stage in STAGES.values() if stage.example]
    for stage in sorted(shown, key=lambda stage: stage.example):
        mine = [column for column in columns if column.points[0].kind is stage]
        if mine:
            column, point = mine[-1], mine[-1].points[0]
            dense, pruned = measures.outputs[bases[point.key].key], measures.outputs[point.key]
            label = column.label + which_seed(point, column.points)
            return Example(label, point, changes(dense, pruned))
    return None
