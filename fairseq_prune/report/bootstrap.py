"""Paired bootstrap resampling (Koehn 2004) of BLEU, as sacreBLEU does it.

The draws, the statistics of a sentence and the score of a sample are sacreBLEU's; the p-value is
bit for bit that of ``sacrebleu.significance.PairedTest(..., test_type="bs")``, which does the
baseline and the draws anew for every system. Here they are done once a baseline, and a sample is
summed up as (how often each sentence was drawn) times (its counts), which is exact: integers that
float32 holds.

Seeds are tested together: each sample draws the same sentences for every seed, and what is looked
at is the mean over seeds of the difference to each seed's own dense model. Tests of each seed could
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

SAMPLES = 1000  # sacreBLEU's default for paired bootstrap
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
        bleu, dense: corpus BLEU of the system and of the baseline.
        p: of the paired bootstrap. sacreBLEU gives 1 / 1001 to two systems that say the same.
    """

    bleu: float
    dense: float
    p: float

    @property
    def worse(self) -> bool:
        """Whether the system is significantly worse: lower BLEU, and p < 0.05."""
        return self.bleu < self.dense and self.p < LEVEL


@dataclass(frozen=True)
class Samples:
    """A comparison with the BLEU difference in each sample, system minus baseline."""

    comparison: Comparison
    differences: Any


def pooled(seeds: Sequence[Samples]) -> Comparison:
    """The test of the mean over seeds, all on the same references."""
    bleu = statistics.fmean(one.comparison.bleu for one in seeds)
    dense = statistics.fmean(one.comparison.dense for one in seeds)
    differences = np.mean([one.differences for one in seeds], axis=0)
    return Comparison(bleu, dense, _p(differences, bleu - dense))


def _p(differences: Any, difference: float) -> float:
    """sacreBLEU's p-value."""
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
        self._metric: Any = BLEU(references=[unmatched([], references)[1]])
        count = len(references)
        drawn = np.random.default_rng(SEED).choice(count, size=(SAMPLES, count), replace=True)
        self._draws = np.stack([np.bincount(row, minlength=count) for row in drawn]).astype("f4")
        self._bleu, self._samples = self._measure(baseline)

    def compare(self, system: Sequence[str]) -> Comparison:
        """``system``, a line a sentence, against the baseline."""
        return self.samples(system).comparison

    def samples(self, system: Sequence[str]) -> Samples:
        """The same, with the difference in each sample."""
        bleu, samples = self._measure(system)
        differences = samples - self._samples
        return Samples(
            Comparison(bleu, self._bleu, _p(differences, bleu - self._bleu)), differences
        )

    def _measure(self, lines: Sequence[str]) -> tuple[float, Any]:
        lines, _ = unmatched(lines, self._references)
        counts = self._metric._extract_corpus_statistics(lines, None)
        sums = self._draws @ np.array(counts, dtype="f4")
        samples = [self._metric._compute_score_from_stats(row).score for row in sums]
        return self._metric._aggregate_and_compute(counts).score, np.array(samples)


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
