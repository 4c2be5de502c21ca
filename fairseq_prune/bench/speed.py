"""How fast engines translate: one after another, round after round, as ratios to the first."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fairseq_prune.bench.engines import Engine
from fairseq_prune.report.chart import canvas, on_lines, save


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
        times: milliseconds a sentence.
        ratios: to the first engine in the same round.
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

    @property
    def rate(self) -> float:
        """The median."""
        return statistics.median(self.rates)

    @property
    def time(self) -> float:
        """The median."""
        return statistics.median(self.times)

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
        return _gain(self.ratios, "1, the first")

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
            "ms_per_sentence": self.time, "times": self.times,
            "ratio": self.ratio, "rates": self.rates, "ratios": self.ratios, "gain": self.gain,
            "against": self.against or None, "against_ratios": self.against_ratios,
            "against_ratio": self.against_ratio, "against_gain": self.against_gain,
        }  # fmt: skip


def _gain(ratios: Sequence[float], same: str = "") -> str:
    """Ratios with their spread, and where not all are above 1 what that says.

    Args:
        same: is said instead where every ratio is 1 exactly.
    """
    low, high = min(ratios), max(ratios)
    if same and low == high == 1.0:
        return same
    text = f"{statistics.median(ratios):.2f}x ({low:.2f} to {high:.2f})"
    if low > 1.0:
        return text
    if statistics.median(ratios) > 1.0:
        return f"{text}, not faster in every round: measure again"
    return f"{text}, no speed gain"


def batches_of(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Sentences in batches of ``size``, those of like length together."""
    order = sorted(range(len(lengths)), key=lambda number: (lengths[number], number))
    return [order[start : start + size] for start in range(0, len(order), size)]


def measure(
    engines: Mapping[str, Engine],
    lengths: Sequence[int],
    settings: Sequence[Setting],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
    against: Mapping[str, str] | None = None,
) -> Iterator[list[Speed]]:
    """The speeds of all engines in one setting after another.

    Args:
        engines: by name; the first is what the others are compared with.
        lengths: of the sentences, in source tokens.
        against: by an engine's name, that of another one that it is compared with too.
    """
    others = against or {}
    for setting in settings:
        batches = batches_of(lengths, setting.batch)
        found = {n: Speed(n, setting, against=others.get(n, "")) for n in engines}
        for engine in engines.values():  # what is done once is done before
            engine.translate(batches[:1], setting.beam)
        for _ in range(rounds):
            for name, engine in engines.items():
                begun = clock()
                tokens = engine.translate(batches, setting.beam)
                seconds = clock() - begun
                found[name].rates.append(tokens / seconds)
                found[name].times.append(1000 * seconds / max(1, len(lengths)))
            first = next(iter(found.values())).rates[-1]
            for speed in found.values():
                speed.ratios.append(speed.rates[-1] / first)
                if speed.against:
                    speed.against_ratios.append(speed.rates[-1] / found[speed.against].rates[-1])
        yield list(found.values())


COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9")
MARKERS = "os^vDP"
LETTERS = 36  # of an engine's name, a line


def save_speeds(speeds: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the ratio of each engine with its spread, a marker for each beam and batch.

    Args:
        speeds: :meth:`fairseq_prune.bench.speed.Speed.as_dict` of each.
    """
    with drawn_speeds(speeds) as drawing:
        save(drawing, path)


@contextmanager
def drawn_speeds(speeds: Sequence[Mapping[str, Any]]) -> Iterator[Any]:
    """The matplotlib figure of :func:`save_speeds`."""
    engines = list(dict.fromkeys(speed["engine"] for speed in speeds))
    settings = list(dict.fromkeys((speed["beam"], speed["batch"]) for speed in speeds))
    names = [on_lines(engine, LETTERS, most=9) for engine in engines]
    rows_of_text = sum(max(2, 1 + name.count("\n")) for name in names)
    title = "Tokens a second, against the first"
    with canvas(title, (7.5, 1.8 + 0.23 * rows_of_text)) as (drawing, axes):
        drawing.suptitle(title)  # above all of the sheet: names may leave the axes half of it
        axes.axvline(1.0, color="#555555", linestyle=(0, (6, 4)), linewidth=1.2)
        for number, (beam, batch) in enumerate(settings):
            mine = [s for s in speeds if (s["beam"], s["batch"]) == (beam, batch)]
            shift = 0.6 * ((number + 0.5) / len(settings) - 0.5)
            rows = [engines.index(speed["engine"]) + shift for speed in mine]
            middle = [speed["ratio"] for speed in mine]
            ends = [
                [speed["ratio"] - min(speed["ratios"]) for speed in mine],
                [max(speed["ratios"]) - speed["ratio"] for speed in mine],
            ]
            axes.errorbar(
                middle, rows, xerr=ends, linestyle="none", label=f"beam {beam}, batch {batch}",
                marker=MARKERS[number % len(MARKERS)], color=COLOURS[number % len(COLOURS)],
            )  # fmt: skip
        axes.set_yticks(range(len(engines)), names, fontsize=9)
        axes.invert_yaxis()
        lines = "lines from the slowest to the fastest round"
        axes.set_xlabel(f"times as fast\n{lines}", fontsize=9)
        axes.set_xlim(left=0)
        axes.grid(axis="x", color="#dddddd", linewidth=0.6)
        drawing.legend(loc="outside lower center", ncols=3, frameon=False)
        drawing.get_layout_engine().execute(drawing)
        yield drawing
