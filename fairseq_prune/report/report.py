"""A report in a folder: tables, figures and one page, from results alone."""

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from fairseq_prune.files.table import Table, as_csv, as_latex, as_markdown, as_text
from fairseq_prune.files.text import listed
from fairseq_prune.files.writing import write_text
from fairseq_prune.report.answer import answers, in_markdown, in_text
from fairseq_prune.report.comet import with_comet
from fairseq_prune.report.gallery import draw
from fairseq_prune.report.measure_tables import (
    Section,
    comparison_rows,
    every_number,
    sections_of,
)
from fairseq_prune.report.measures import Measures, measure
from fairseq_prune.report.page import page
from fairseq_prune.report.points import Point, find_results, read_points
from fairseq_prune.report.provenance import measured_on, note_processors, signatures
from fairseq_prune.report.tables import full_table, full_tables, glances, point_table
from fairseq_prune.study.stages import STAGES

# by a point that is done, one of these
LEFT = ("results.jsonl", *(stage.result for stage in STAGES.values() if not stage.evaluated))


def write_report(
    places: Sequence[str], output: str, title: str, command: str, formats: Sequence[str] = (),
    comet: str | None = None,
) -> str:  # fmt: skip
    """Write the report; returns its answer, tables at a glance, how they were made, and notes.

    Leaves in ``output``: index.html, the files of :func:`write_tables`, and for each figure of each
    model MODEL-figureN.png, .svg and .csv.

    Args:
        places: folders with results files below, or such files.
        output: the folder.
        title: the page's heading.
        command: what made the report, shown beside each figure.
        formats: for papers: "tex" for table.tex, "pdf" for the figures as PDF.
        comet: a model of COMET to score translations with, too.

    Raises ValueError where there are no results, or comet-score fails.
    """
    notes: list[str] = []
    points = read_points(find_results(places), notes)
    if not points:
        raise ValueError(_nothing(places, notes))
    points = with_comet(points, comet) if comet is not None else points
    notes += [*waiting(places), *note_processors(points)]
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    measures = measure(points)
    sections = sections_of(measures)
    write_tables(measures, sections, folder)
    if "tex" in formats:
        tables = [*glances(points), *_every_table(measures)]
        write_text(folder / "table.tex", _latex(tables, _signed(points)))
    gallery = draw(points, places, folder, "pdf" in formats)
    notes += [*measures.notes, *gallery.notes]
    every = [*sections, *every_number(measures)]
    text = page(points, title, command, gallery, notes, every, answers(measures))
    write_text(folder / "index.html", text)
    said = "".join(f"note: {note}\n" for note in notes)
    brief = "\n".join(map(as_text, glances(points)))
    return f"{in_text(answers(measures))}\n{brief}{_signed(points)}{said}"


def write_tables(measures: Measures, sections: Sequence[Section], folder: Path) -> None:
    """Write table.txt, .md and .csv (a row a place), points.csv (a row a point).

    Where they could be measured: significance.csv (a row a comparison), numbers.md (the sections),
    examples.md (the sentences that changed most).
    """
    points, flagged = measures.points, measures.flagged
    tables = [*glances(points), *_every_table(measures)]
    signed = _signed(points)
    found = answers(measures)
    text = "\n".join([in_text(found), *map(as_text, tables)])
    write_text(folder / "table.txt", text + signed)
    signed = signed.replace("<", "&lt;")  # Markdown lets HTML through
    text = "\n".join([in_markdown(found), *map(as_markdown, tables)])
    write_text(folder / "table.md", f"{text}\n{signed}")
    write_text(folder / "table.csv", as_csv(full_table(points, flagged, apart=True)))
    write_text(folder / "points.csv", as_csv(point_table(points)))
    if measures.tests.each:
        write_text(folder / "significance.csv", as_csv(comparison_rows(measures)))
    for file, texts in (("numbers.md", False), ("examples.md", True)):
        mine = [section for section in sections if section.texts == texts]
        if mine:
            write_text(folder / file, "\n".join(map(_markdown, mine)))


def _every_table(measures: Measures) -> list[Table]:
    """All numbers of every place, a table for each way of evaluating."""
    return [
        [[f"{head[0]} ({name})" if name else head[0], *head[1:]], *rows]
        for name, (head, *rows) in full_tables(measures.points, measures.flagged)
    ]


def _latex(tables: Sequence[Table], signed: str) -> str:
    about = "".join(f"% {line}\n" for line in signed.splitlines())
    return "\n".join(["% \\usepackage{booktabs}\n" + about, *map(as_latex, tables)])


def _signed(points: Sequence[Point]) -> str:
    made = [f"{name} {signature}" for name, signature in signatures(points)]
    return "".join(f"{line}\n" for line in [*made, measured_on(points)])


def _markdown(section: Section) -> str:
    # Markdown lets HTML through, and sentences are anybody's
    safe: Callable[[str], str] = escape if section.texts else str
    tables = [[[safe(cell) for cell in row] for row in table] for table in section.tables]
    heading = section.heading.replace("<", "&lt;")
    return "\n".join([f"## {heading}\n", f"{section.caption}\n", *map(as_markdown, tables)])


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
