"""A report in a folder: tables, figures and one page, from results alone."""

from collections.abc import Sequence
from pathlib import Path

from fairseq_prune.analysis.figures import figures_of, save_png
from fairseq_prune.analysis.files import write_text
from fairseq_prune.analysis.page import page
from fairseq_prune.analysis.points import file_name, find_results, models_of, read_points
from fairseq_prune.analysis.table import (
    as_csv,
    as_markdown,
    as_text,
    full_table,
    glances,
    signatures,
)


def write_report(places: Sequence[str], output: str, title: str, command: str) -> str:
    """Write the report; returns its tables at a glance, as text.

    Leaves in ``output``: table.txt, table.md, table.csv, index.html, and for each model
    MODEL-figure1.png and MODEL-figure2.png.

    Args:
        places: results files, or folders with such below.
        output: the folder.
        title: the page's heading.
        command: what made the report, shown beside each figure.

    Raises ValueError where there are no results.
    """
    points = read_points(find_results(places))
    if not points:
        raise ValueError(f"{' '.join(places)} holds no results yet; run fairseq-prune evaluate.")
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    tables = [*glances(points), full_table(points)]
    notes = "".join(f"sacreBLEU {signature}\n" for signature in signatures(points))
    write_text(folder / "table.txt", "\n".join(map(as_text, tables)) + notes)
    write_text(folder / "table.md", "\n".join(map(as_markdown, tables)) + "\n" + notes)
    write_text(folder / "table.csv", as_csv(full_table(points)))
    for model in models_of(points):
        for figure in figures_of(points, model):
            save_png(figure, folder / f"{file_name(model)}-{figure.name}.png")
    write_text(folder / "index.html", page(points, title, command))
    return "\n".join(map(as_text, glances(points))) + notes
