"""A chart: what it shows, in words, numbers and lines; on paper as PNG, SVG, PDF and CSV."""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairseq_prune.files.table import Table, as_csv
from fairseq_prune.files.writing import write_bytes, write_text

# colours of the paper that a dark page has others for
_IN_A_PAGE = {
    "#000000": "currentColor",
    "#333333": "currentColor",
    "#555555": "var(--quiet)",
    "#dddddd": "var(--line)",
}

LINES = 3  # of a name
LETTERS = 9  # of a title or of a legend's name, an inch
WIDE = 6.5  # inches: wider figures scroll on a phone, where they would be too small
DPI, WIDE_DPI = 200, 140  # pixels an inch


@dataclass(frozen=True)
class Chart:
    """A figure before it is drawn.

    Args:
        name: "figure1" to "figure12", the order of the paper's figures and their repetitions.
        title, caption: in words; the title names the model.
        table: its data.
        commands: what made the numbers.
        draw: draws it on an empty matplotlib figure.
        size: in inches.
    """

    name: str
    title: str
    caption: str
    table: Table
    commands: Sequence[str]
    draw: Callable[[Any], None]
    size: tuple[float, float] = (6.2, 4.8)

    @property
    def is_wide(self) -> bool:
        """Whether it has several panels, or long names beside it."""
        return self.size[0] > WIDE


def save_chart(chart: Chart, folder: Path, stem: str, pdf: bool = False) -> str:
    """Write STEM.png, STEM.svg and STEM.csv, and STEM.pdf where it is asked for.

    The PDF has no heading: a paper says it in its caption. Returns the SVG element, cropped below
    its heading, too, which a page has in its own letters.
    """
    with drawn(chart) as (drawing, below):
        save(drawing, folder / f"{stem}.png", dpi=WIDE_DPI if chart.is_wide else DPI)
        if pdf:  # takes half a second
            save_pdf(drawing, folder / f"{stem}.pdf", below)
        svg = as_svg(drawing)
    write_text(folder / f"{stem}.svg", '<?xml version="1.0" encoding="utf-8"?>\n' + svg)
    write_text(folder / f"{stem}.csv", as_csv(chart.table))
    return _cropped(svg, below)


@contextmanager
def drawn(chart: Chart) -> Iterator[tuple[Any, float]]:
    """The matplotlib figure of a chart, laid out; and the share of its height below its heading."""
    with sheet(chart.title, chart.size) as drawing:
        # matplotlib's own wrapping would read dollars as formulas
        heading = drawing.suptitle(on_lines(chart.title, int(LETTERS * chart.size[0])))
        heading.set_gid("heading")
        chart.draw(drawing)
        drawing.get_layout_engine().execute(drawing)
        drawing.set_layout_engine(None)  # it is laid out now, once for all forms
        yield drawing, heading.get_window_extent().y0 / drawing.bbox.height


def _cropped(svg: str, share: float) -> str:
    """The lower ``share`` of a drawing's height."""
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert found is not None
    width, height = float(found[1]), float(found[2])
    box = f'viewBox="0 {height * (1 - share):.2f} {width:g} {height * share:.2f}"'
    return re.sub(r' (width|height)="[\d.]+pt"', "", svg.replace(found[0], box, 1), count=2)


def in_page(svg: str, prefix: str) -> str:
    """The SVG as it may stand in a page beside others: names of its own, the page's colours."""
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    svg = svg.replace("fill: #ffffff", "fill: none")  # backgrounds
    pattern = "|".join(_IN_A_PAGE)
    return re.sub(rf"(?<=: )({pattern})(?=[;\"])", lambda found: _IN_A_PAGE[found.group()], svg)


def on_lines(name: str, letters: int, most: int = LINES) -> str:
    """A name on lines of at most ``letters``, broken after its points, hyphens and the like.

    What is longer than ``most`` lines ends there, in an ellipsis; tables have it whole.
    """
    lines = [""]
    for part in re.findall(r"[^\s.,:/_-]*[\s.,:/_-]*", name):
        for piece in (part[i : i + letters] for i in range(0, len(part), letters)):
            if len(lines[-1] + piece.rstrip()) > letters:
                lines.append("")
            lines[-1] += piece
    shown = [line.strip() for line in lines[:most]]
    if len(lines) > most:
        shown[-1] = shown[-1][: letters - 1] + "…"
    return "\n".join(shown)


def commands_of(rows: Sequence[Any]) -> list[str]:
    """The commands in rows of results, each once."""
    return list(dict.fromkeys(str(row["command"]) for row in rows if row.get("command")))


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
        "svg.fonttype": "none", "svg.hashsalt": title, "font.size": 11, "text.parse_math": False,
        "pdf.fonttype": 42,  # publishers want outlines, not type 3
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


def save_pdf(drawing: Any, path: Path, share: float) -> None:
    """Write the lower ``share`` of a drawing's height into a PDF file, for papers.

    The same drawing gives the same file.
    """
    from matplotlib.transforms import Bbox

    width, height = drawing.get_size_inches()
    box, file = Bbox.from_extents(0, 0, width, share * height), io.BytesIO()
    drawing.savefig(file, format="pdf", metadata={"CreationDate": None}, bbox_inches=box)
    write_bytes(path, file.getvalue())


def as_svg(drawing: Any) -> str:
    """The drawing as an ``<svg>`` element."""
    text = io.StringIO()
    drawing.savefig(text, format="svg", metadata={"Date": None})
    drawn = text.getvalue()
    return drawn[drawn.index("<svg") :]
