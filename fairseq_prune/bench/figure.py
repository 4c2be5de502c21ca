"""The figure of a benchmark: how many times as fast each engine is."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fairseq_prune.report.chart import canvas, on_lines, save

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9")
MARKERS = "os^vDP"
LETTERS = 36  # of an engine's name, a line


def save_speeds(speeds: Sequence[Mapping[str, Any]], base: str, path: Path) -> None:
    """Draw the ratio of each engine with its spread, a marker for each beam and batch.

    Args:
        speeds: :meth:`fairseq_prune.bench.speed.Speed.as_dict` of each.
        base: what the ratios are to.
    """
    with drawn_speeds(speeds, base) as drawing:
        save(drawing, path)


@contextmanager
def drawn_speeds(speeds: Sequence[Mapping[str, Any]], base: str) -> Iterator[Any]:
    """The matplotlib figure of :func:`save_speeds`."""
    engines = list(dict.fromkeys(speed["engine"] for speed in speeds))
    settings = list(dict.fromkeys((speed["beam"], speed["batch"]) for speed in speeds))
    names = [on_lines(engine, LETTERS, most=9) for engine in engines]
    rows_of_text = sum(max(2, 1 + name.count("\n")) for name in names)
    title = on_lines(f"Tokens a second, against {base}", 2 * LETTERS)
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
