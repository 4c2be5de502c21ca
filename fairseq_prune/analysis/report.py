"""A report in a folder: tables, figures and one page, from results alone."""

from collections.abc import Sequence
from pathlib import Path

from fairseq_prune.analysis.figures import figures_of, save_png
from fairseq_prune.analysis.files import write_text
from fairseq_prune.analysis.number_page import number_sections, write_tables
from fairseq_prune.analysis.number_parts import parts_of
from fairseq_prune.analysis.numbers import measure
from fairseq_prune.analysis.page import page
from fairseq_prune.analysis.points import file_name, find_results, models_of, read_points
from fairseq_prune.analysis.table import as_text, glances, signatures


def write_report(places: Sequence[str], output: str, title: str, command: str) -> str:
    """Write the report; returns its tables at a glance, as text.

    Leaves in ``output``: index.html, the files of
    :func:`~fairseq_prune.analysis.number_page.write_tables`, and for each model MODEL-figure1.png
    and MODEL-figure2.png.

    Args:
        places: results files, or folders with such below.
        output: the folder.
        title: the page's heading.
        command: what made the report, shown beside each figure.

    Raises ValueError where there are no results.
    """
    notes: list[str] = []
    points = read_points(find_results(places), notes)
    if not points:
        raise ValueError(_nothing(places, notes))
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    numbers = measure(points)
    notes += numbers.notes
    parts = parts_of(numbers)
    write_tables(numbers, parts, folder)
    for model in models_of(points):
        for figure in figures_of(points, model):
            save_png(figure, folder / f"{file_name(model)}-{figure.name}.png")
    text = page(points, title, command, notes, number_sections(numbers, parts))
    write_text(folder / "index.html", text)
    signed = "".join(f"sacreBLEU {signature}\n" for signature in signatures(points))
    said = "".join(f"note: {note}\n" for note in notes)
    return "\n".join(map(as_text, glances(points))) + signed + said


def _nothing(places: Sequence[str], notes: Sequence[str]) -> str:
    broken = [note for note in notes if not note.endswith("holds no results yet.")]
    if broken:
        return broken[0]
    return f"{' '.join(places)} holds no results yet; run fairseq-prune evaluate."
