"""A report in a folder: tables, figures and one page, from results alone."""

from collections.abc import Sequence
from pathlib import Path

from fairseq_prune.files.table import as_text
from fairseq_prune.files.text import listed
from fairseq_prune.files.writing import write_text
from fairseq_prune.report.gallery import draw
from fairseq_prune.report.number_page import number_sections, write_tables
from fairseq_prune.report.number_parts import parts_of
from fairseq_prune.report.numbers import measure
from fairseq_prune.report.page import page
from fairseq_prune.report.points import find_results, read_points
from fairseq_prune.report.tables import glances, signatures
from fairseq_prune.study.stages import STAGES

# by a point that is done, one of these
LEFT = ("results.jsonl", *(stage.result for stage in STAGES.values() if not stage.evaluated))


def write_report(places: Sequence[str], output: str, title: str, command: str) -> str:
    """Write the report; returns its tables at a glance and its notes, as text.

    Leaves in ``output``: index.html, the files of
    :func:`~fairseq_prune.report.number_page.write_tables`, and for each figure of each model
    MODEL-figureN.png, .svg and .csv.

    Args:
        places: folders with results files below, or such files.
        output: the folder.
        title: the page's heading.
        command: what made the report, shown beside each figure.

    Raises ValueError where there are no results.
    """
    notes: list[str] = []
    points = read_points(find_results(places), notes)
    if not points:
        raise ValueError(_nothing(places, notes))
    notes += waiting(places)
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    numbers = measure(points)
    parts = parts_of(numbers)
    write_tables(numbers, parts, folder)
    gallery = draw(points, places, folder)
    notes += [*numbers.notes, *gallery.notes]
    text = page(points, title, command, gallery, notes, number_sections(numbers, parts))
    write_text(folder / "index.html", text)
    signed = "".join(f"{name} {signature}\n" for name, signature in signatures(points))
    said = "".join(f"note: {note}\n" for note in notes)
    return "\n".join(map(as_text, glances(points))) + signed + said


def waiting(places: Sequence[str]) -> list[str]:
    """What studies that are not finished still have to do, a sentence each."""
    notes = []
    for place in map(Path, places):
        folders = sorted(p for p in (place / "points").glob("*") if p.is_dir())
        left = [p.name for p in folders if not any((p / name).is_file() for name in LEFT)]
        if left:
            notes.append(
                f"{len(left)} of {len(folders)} points of {place} have no results yet: "
                f"{listed(left, 3)}."
            )
    return notes


def _nothing(places: Sequence[str], notes: Sequence[str]) -> str:
    broken = [note for note in notes if not note.endswith("holds no results yet.")]
    if broken:
        return broken[0]
    return f"{' '.join(places)} holds no results yet; run fairseq-prune evaluate."
