"""A canvas to draw on. matplotlib is imported here only."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fairseq_prune.files.writing import write_bytes

COLOURS = 128  # of a PNG: enough for flat figures, in a third of the bytes


@contextmanager
def sheet(title: str, size: tuple[float, float]) -> Iterator[Any]:
    """An empty matplotlib figure of ``size`` inches; the same drawing gives the same file.

    Text is drawn as it is: a dollar or a backslash in a name is no formula.

    Raises ValueError where matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise ValueError(
            "Figures need matplotlib, which is not installed: pip install matplotlib."
        ) from None
    plain = {
        "svg.fonttype": "none", "svg.hashsalt": title, "font.size": 11, "text.parse_math": False
    }  # fmt: skip
    with matplotlib.rc_context(plain):
        drawing = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(drawing)
        yield drawing


@contextmanager
def canvas(title: str, size: tuple[float, float]) -> Iterator[tuple[Any, Any]]:
    """A :func:`sheet` and its one pair of axes."""
    with sheet(title, size) as drawing:
        yield drawing, drawing.subplots()


def save(drawing: Any, path: Path, dpi: int = 200) -> None:
    """Write a drawing into a PNG file of ``dpi`` pixels an inch and few colours, in one step."""
    from PIL import Image  # comes with matplotlib

    pixels, file = io.BytesIO(), io.BytesIO()
    drawing.savefig(pixels, format="png", dpi=dpi)
    few = Image.open(pixels).convert("RGB").quantize(COLOURS)
    few.save(file, format="png", optimize=True)
    write_bytes(path, file.getvalue())


def as_svg(drawing: Any) -> str:
    """The drawing as an ``<svg>`` element."""
    text = io.StringIO()
    drawing.savefig(text, format="svg", metadata={"Date": None})
    drawn = text.getvalue()
    return drawn[drawn.index("<svg") :]
