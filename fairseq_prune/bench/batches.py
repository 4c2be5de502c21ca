"""The batches that engines translate, and how many steps they take for each."""

from collections.abc import Sequence
from dataclasses import dataclass

from fairseq_prune.evaluation.lines import batches_of
from fairseq_prune.evaluation.settings import Settings


@dataclass(frozen=True)
class Batch:
    """Sentences that are translated together.

    Args:
        numbers: of the sentences in the test set.
        steps: that the search takes, each of which adds a token to every sentence; the last one is
            the end of the sentence, or stands for it. None: until the model ends each sentence.
    """

    numbers: Sequence[int]
    steps: int | None = None


@dataclass(frozen=True)
class Lengths:
    """How many tokens each of the sentences has, their ends included.

    Args:
        source: in the order of the test set.
        target: of the references, likewise; None where the data have none.
    """

    source: Sequence[int]
    target: Sequence[int] | None = None


@dataclass(frozen=True)
class Work:
    """What is translated.

    Args:
        sentences: of the test set, the first so many.
        forced: whether to take as many steps as the references have tokens.
        beam, batch: of the search; batch in sentences.
        threads: of the engine.
    """

    settings: Settings
    sentences: int
    forced: bool
    beam: int
    batch: int
    threads: int

    def batches(self, lengths: Lengths, most: int) -> list[Batch]:
        """Those that an engine translates.

        fairseq and CTranslate2 know one length a batch. Forced, it is the mean of its references,
        rounded up: a batch of one takes exactly its reference's steps, and a larger one makes as
        many tokens as its references have, to within a token a sentence. By the longest reference,
        all of the batch would go on where a translation leaves it at its own end.

        Args:
            most: tokens that a translation can have, its end included.
        """
        found = []
        for numbers in batches_of(lengths.source, self.batch):
            steps = None
            if self.forced and lengths.target is not None:
                tokens = sum(lengths.target[number] for number in numbers)
                longest = max(lengths.source[number] for number in numbers)
                steps = min(-(-tokens // len(numbers)), most, self._longest(longest))
            found.append(Batch(numbers, steps))
        return found

    def _longest(self, source: int) -> int:
        """Tokens of a translation as --max-len-a and --max-len-b have it, its end included."""
        return int(self.settings.max_len_a * source + self.settings.max_len_b) + 1
