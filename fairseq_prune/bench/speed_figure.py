"""The figure of fairseq-prune bench: ratios of speed, engine by engine."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fairseq_prune.report.drawing import canvas, save

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9")
MARKERS = "os^vDP"


def save_speeds(speeds: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the ratio of each engine with its spread, a marker for each beam and batch.

    Args:
        speeds: :meth:`fairseq_prune.bench.speed.Speed.as_dict` of each.
    """
    engines = list(dict.fromkeys(speed["engine"] for speed in speeds))
    settings = list(dict.fromkeys((speed["beam"], speed["batch"]) for speed in speeds))
    title = "Tokens a second, against the first"
    with canvas(title, (7.5, 1.6 + 0.45 * len(engines))) as (drawing, axes):
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
        axes.set_yticks(range(len(engines)), engines)
        axes.invert_yaxis()
        axes.set(xlabel="times as fast; lines from the slowest to the fastest round", title=title)
        axes.set_xlim(left=0)
        axes.grid(axis="x", color="#dddddd", linewidth=0.6)
        axes.figure.legend(loc="outside lower center", ncols=3, frameon=False)
        save(drawing, path)
