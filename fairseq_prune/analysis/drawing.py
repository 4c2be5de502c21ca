"""A canvas to draw on. matplotlib is imported here only."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def canvas(title: str, size: tuple[float, float]) -> Iterator[tuple[Any, Any]]:
    """A matplotlib figure of ``size`` inches and its axes; the same drawing gives the same file.

    Raises ValueError where matplotlib is not installed.
    """
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        raise ValueError(
            "Figures need matplotlib, which is not installed: pip install matplotlib."
        ) from None
    plain = {"svg.fonttype": "none", "svg.hashsalt": title, "font.size": 11}
    with matplotlib.rc_context(plain):
        drawing, axes = pyplot.subplots(figsize=size, layout="constrained")
        try:
            yield drawing, axes
        finally:
            pyplot.close(drawing)


def save(drawing: Any, path: Path) -> None:
    """Write a drawing into a PNG file of 200 pixels an inch, in one step."""
    temporary = path.with_name(f".{path.name}.tmp")
    drawing.savefig(temporary, format="png", dpi=200)
    os.replace(temporary, path)
