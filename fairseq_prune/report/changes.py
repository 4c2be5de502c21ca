"""The sentences that pruning changed most, by sentence chrF."""

from dataclasses import dataclass

from sacrebleu.metrics import CHRF

from fairseq_prune.evaluation.sentences import Sentence
from fairseq_prune.evaluation.unknown import unmatched
from fairseq_prune.report.outputs import Output

SHOWN = 10


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
