"""How fast engines translate: one after another, round after round, as ratios to another one."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from fairseq_prune.bench.batches import Batch
from fairseq_prune.bench.engines import Engine


@dataclass(frozen=True)
class Setting:
    """How sentences are translated."""

    beam: int
    batch: int


@dataclass
class Speed:
    """Of one engine in one setting, a number for each round.

    Args:
        rates: target tokens a second.
        times: milliseconds a sentence, on average.
        of_batches: by round, milliseconds a sentence of each batch.
        tokens: that came out in a round.
        ratios: of rates to the engine that all are compared with, in the same round.
        against: another engine that it is compared with too; "" for none.
        against_ratios: to that one in the same round.
    """

    engine: str
    setting: Setting
    rates: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    against: str = ""
    against_ratios: list[float] = field(default_factory=list)
    of_batches: list[list[float]] = field(default_factory=list)
    tokens: int = 0

    @property
    def rate(self) -> float:
        """The median."""
        return statistics.median(self.rates)

    @property
    def time(self) -> float:
        """The median."""
        return statistics.median(self.times)

    @property
    def each(self) -> list[float]:
        """Milliseconds a sentence of each batch, the median of its rounds."""
        return [statistics.median(rounds) for rounds in zip(*self.of_batches, strict=True)]

    @property
    def ratio(self) -> float:
        """The median."""
        return statistics.median(self.ratios)

    @property
    def against_ratio(self) -> float | None:
        """The median; None where there is none to compare with."""
        return statistics.median(self.against_ratios) if self.against_ratios else None

    @property
    def gain(self) -> str:
        """The ratio with its spread, and whether there is a gain at all, or it cannot be told."""
        return _gain(self.ratios, "1, itself")

    @property
    def against_gain(self) -> str:
        """The same of :attr:`against`; "-" where there is none."""
        if not self.against_ratios:
            return "-"
        return "1, itself" if self.against == self.engine else _gain(self.against_ratios)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "engine": self.engine, **asdict(self.setting), "tokens_per_second": self.rate,
            "tokens": self.tokens, "batches": len(self.each),
            "ms_median": statistics.median(self.each),
            "ms_95": float(np.quantile(self.each, 0.95)), "ms_of_batches": self.each,
            "ms_per_sentence": self.time, "times": self.times,
            "ratio": self.ratio, "rates": self.rates, "ratios": self.ratios, "gain": self.gain,
            "against": self.against or None, "against_ratios": self.against_ratios,
            "against_ratio": self.against_ratio, "against_gain": self.against_gain,
        }  # fmt: skip


LEAST = 1.03  # a gain: two copies of one model differ by as much, in all rounds alike
FASTER, UNSURE, NO_GAIN = "faster", "not in every round", "no speed gain"


def verdict(ratios: Sequence[float]) -> str:
    """What ratios of speed, one a round, say: FASTER, UNSURE or NO_GAIN."""
    if statistics.median(ratios) < LEAST:
        return NO_GAIN
    return FASTER if min(ratios) > 1.0 else UNSURE


def with_spread(ratios: Sequence[float]) -> str:
    """The median of ratios, the lowest and the highest."""
    return f"{statistics.median(ratios):.2f}x ({min(ratios):.2f} to {max(ratios):.2f})"


def _gain(ratios: Sequence[float], same: str = "") -> str:
    """Ratios with their spread, and where not all are above 1 what that says.

    Args:
        same: is said instead where every ratio is 1 exactly.
    """
    if same and min(ratios) == max(ratios) == 1.0:
        return same
    more = {
        FASTER: "", UNSURE: ", not faster in every round: measure again",
        NO_GAIN: ", no speed gain",
    }  # fmt: skip
    return with_spread(ratios) + more[verdict(ratios)]


def measure(
    engines: Mapping[str, Engine],
    work: Mapping[Setting, Sequence[Batch]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
    against: Mapping[str, str] | None = None,
    base: str | None = None,
) -> Iterator[list[Speed]]:
    """The speeds of all engines in one setting after another.

    Args:
        engines: by name.
        work: what is translated in each setting.
        against: by an engine's name, that of another one that it is compared with too.
        base: what all are compared with; the first, where it is None.
    """
    others = against or {}
    for setting, batches in work.items():
        found = {n: Speed(n, setting, against=others.get(n, "")) for n in engines}
        for engine in engines.values():  # what is done once is done before
            engine.translate(batches[0], setting.beam)
        for _ in range(rounds):
            for name, engine in engines.items():
                _translate(engine, batches, found[name], clock)
            first = found[base or next(iter(found))].rates[-1]
            for speed in found.values():
                speed.ratios.append(speed.rates[-1] / first)
                if speed.against:
                    speed.against_ratios.append(speed.rates[-1] / found[speed.against].rates[-1])
        yield list(found.values())


def _translate(
    engine: Engine, batches: Sequence[Batch], speed: Speed, clock: Callable[[], float]
) -> None:
    """Translate all batches, and note how long that took."""
    tokens, seconds = 0, list[float]()
    for batch in batches:
        begun = clock()
        tokens += engine.translate(batch, speed.setting.beam)
        seconds.append(clock() - begun)
    sentences = [len(batch.numbers) for batch in batches]
    speed.tokens = tokens
    speed.rates.append(tokens / sum(seconds))
    speed.times.append(1000 * sum(seconds) / max(1, sum(sentences)))
    speed.of_batches.append([1000 * s / n for s, n in zip(seconds, sentences, strict=True)])
