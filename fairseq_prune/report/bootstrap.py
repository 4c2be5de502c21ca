"""Paired bootstrap resampling (Koehn 2004) of BLEU, as sacreBLEU does it.

The draws, the statistics of a sentence and the score of a sample are sacreBLEU's; the p-value is
bit for bit that of ``sacrebleu.significance.PairedTest(..., test_type="bs")``, which does the
baseline and the draws anew for every system. Here they are done once a baseline, and a sample is
summed up as (how often each sentence was drawn) times (its counts), which is exact: integers that
float32 holds.

The 95% interval of a difference is that of its samples, from the 2.5% to the 97.5% quantile.

Seeds are tested together: each sample draws the same sentences for every seed, and what is looked
at is the mean over seeds of the difference to each seed's own baseline. Tests of each seed could
not be combined as Fisher's or Stouffer's are, which ask for independent ones: seeds share the
sentences that they are tested on. With one seed it is the test of that seed.
"""

import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import numpy as np
import sacrebleu
from sacrebleu.metrics import BLEU

from fairseq_prune.evaluation.unknown import unmatched

# ten times sacreBLEU's default: the smallest p is 1 / (SAMPLES + 1), and a report corrects it for
# more than a hundred tests
SAMPLES = 10_000
BLOCK = 1000  # samples drawn at a time: the positions drawn take twice the memory of their counts
SEED = 12345  # sacreBLEU's default; SACREBLEU_SEED is not asked, so that reports agree
LEVEL = 0.05
SIGNATURE = (
    f"nrefs:1|bs:{SAMPLES}|seed:{SEED}|case:mixed|eff:no|tok:13a|smooth:exp|"
    f"version:{sacrebleu.__version__}"
)
CHUNK = 32  # systems a task; also the fewest that are worth a process of their own
EVERY = 5.0  # seconds between lines of progress


@dataclass(frozen=True)
class Comparison:
    """A system against its baseline.

    Args:
        bleu, base: corpus BLEU of the system and of the baseline.
        p: of the paired bootstrap. sacreBLEU gives the smallest there is to two systems that say
            the same.
        low, high: the 95% interval of ``bleu - base``, over the sentences of the test set.
    """

    bleu: float
    base: float
    p: float
    low: float
    high: float

    @property
    def difference(self) -> float:
        """BLEU gained over the baseline."""
        return self.bleu - self.base

    @property
    def worse(self) -> bool:
        """Whether the system is significantly worse: lower BLEU, and p < 0.05."""
        return self.worse_at(self.p)

    def worse_at(self, p: float) -> bool:
        """The same by another p, such as one that is corrected for many tests."""
        return self.bleu < self.base and p < LEVEL


@dataclass(frozen=True)
class Samples:
    """A comparison with the BLEU difference in each sample, system minus baseline."""

    comparison: Comparison
    differences: Any


def pooled(seeds: Sequence[Samples]) -> Comparison:
    """The test of the mean over seeds, all on the same references."""
    bleu = statistics.fmean(one.comparison.bleu for one in seeds)
    base = statistics.fmean(one.comparison.base for one in seeds)
    return _comparison(bleu, base, np.mean([one.differences for one in seeds], axis=0))


def _comparison(bleu: float, base: float, differences: Any) -> Comparison:
    low, high = (float(end) for end in np.quantile(differences, [0.025, 0.975]))
    return Comparison(bleu, base, _p(differences, bleu - base), low, high)


def _p(differences: Any, difference: float) -> float:
    """sacreBLEU's p-value.

    In effect of one side: where nearly all samples have the sign of the difference d, |sample|
    less its mean, which is |d|, exceeds |d| where the sample exceeds 2 d, beyond one end alone.
    """
    spread = np.abs(differences)
    above = np.sum(spread - spread.mean() > abs(difference)).item()
    return float((above + 1) / (SAMPLES + 1))


class Bootstrap:
    """Systems against one baseline.

    Args:
        baseline: its translations.
        references: one a sentence.
    """

    def __init__(self, baseline: Sequence[str], references: Sequence[str]) -> None:
        self._references = references
        self._metric: Any = BLEU(references=[unmatched([], references)[1]], force=True)
        count = len(references)
        self._draws = _drawn(count)
        self._bleu, self._samples = self._measure(baseline)

    def compare(self, system: Sequence[str]) -> Comparison:
        """``system``, a line a sentence, against the baseline."""
        return self.samples(system).comparison

    def samples(self, system: Sequence[str]) -> Samples:
        """The same, with the difference in each sample."""
        bleu, samples = self._measure(system)
        differences = samples - self._samples
        return Samples(_comparison(bleu, self._bleu, differences), differences)

    def _measure(self, lines: Sequence[str]) -> tuple[float, Any]:
        lines, _ = unmatched(lines, self._references)
        counts = self._metric._extract_corpus_statistics(lines, None)
        sums = self._draws @ np.array(counts, dtype="f4")
        samples = [self._metric._compute_score_from_stats(row).score for row in sums]
        return self._metric._aggregate_and_compute(counts).score, np.array(samples)


def _drawn(count: int) -> Any:
    """How often each sample draws each of ``count`` sentences, float32 (SAMPLES, count)."""
    draw, draws = np.random.default_rng(SEED), np.empty((SAMPLES, count), "f4")
    for block in np.split(draws, range(BLOCK, SAMPLES, BLOCK)):
        for counts, row in zip(block, draw.choice(count, size=block.shape), strict=True):
            counts[:] = np.bincount(row, minlength=count)
    return draws


@dataclass(frozen=True)
class Task:
    """Systems that have the baseline and the references in common."""

    baseline: Sequence[str]
    references: Sequence[str]
    systems: Sequence[Sequence[str]]


def compare_all(tasks: Sequence[Task]) -> Iterator[tuple[int, int, Samples]]:
    """Yields (task, system, its samples) in any order, over all cores where that helps.

    What takes longer says on stderr how far it is.
    """
    chunks = [
        (number, start, Task(t.baseline, t.references, t.systems[start : start + CHUNK]))
        for number, t in enumerate(tasks)
        for start in range(0, len(t.systems), CHUNK)
    ]
    total, done, said = sum(len(t.systems) for t in tasks), 0, time.monotonic()
    if total > CHUNK:
        _say(f"paired bootstrap of {total} systems, each once: the next report has them")
    for number, start, found in _run(chunks):
        yield from ((number, start + i, samples) for i, samples in enumerate(found))
        done += len(found)
        if time.monotonic() - said > EVERY:
            _say(f"paired bootstrap: {done} of {total}")
            said = time.monotonic()


_Chunk = tuple[int, int, Task]
_Found = tuple[int, int, list[Samples]]


def _run(chunks: Sequence[_Chunk]) -> Iterator[_Found]:
    cores = min(len(os.sched_getaffinity(0)), len(chunks))
    if cores < 2:
        yield from map(_compare, chunks)
        return
    # a fresh process each, since fork and threads do not go together
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        for future in as_completed([pool.submit(_compare, chunk) for chunk in chunks]):
            yield future.result()


def _compare(chunk: _Chunk) -> _Found:
    number, start, task = chunk
    test = Bootstrap(task.baseline, task.references)
    return number, start, [test.samples(system) for system in task.systems]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
