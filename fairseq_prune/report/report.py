"""A report in a folder: tables, figures and one page, from results alone."""

from collections.abc import Callable, Iterator, Sequence
from html import escape
from pathlib import Path

from fairseq_prune.files.table import Table, as_csv, as_markdown, as_text
from fairseq_prune.files.text import file_name, listed
from fairseq_prune.files.writing import write_text
from fairseq_prune.report.answer import answers, in_markdown, in_text
from fairseq_prune.report.comet import with_comet
from fairseq_prune.report.gallery import Gallery, draw
from fairseq_prune.report.latex import document, figure_float, long_table, table_float
from fairseq_prune.report.measure_tables import (
    SEEDS,
    Section,
    comparison_rows,
    every_number,
    sections_of,
)
from fairseq_prune.report.measures import Measures, measure
from fairseq_prune.report.page import page
from fairseq_prune.report.points import Point, find_results, models_of, read_points
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
        formats: for papers: "tex" for :func:`write_latex`, "pdf" for the figures as PDF.
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
    gallery = draw(points, places, folder, "pdf" in formats)
    if "tex" in formats:
        write_latex(measures, gallery, folder)
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


def write_latex(measures: Measures, gallery: Gallery, folder: Path) -> None:
    """Write table.tex (scores at a glance), numbers.tex (of every place), figures.tex (the PDFs).

    Each is for \\input; figures.tex is written where there are PDFs.
    """
    points = measures.points
    about, models = _signed(points).splitlines(), models_of(points)
    names = {model: file_name(f"{number}-{model}") for number, model in enumerate(models, 1)}
    glanced = [
        table_float(table, f"{table[0][0]}. {SEEDS}", f"glance-{names[model]}")
        for model, table in zip(models, glances(points), strict=True)
    ]
    glanced = [document(glanced, about, ("booktabs", "graphicx"))]
    every = [
        long_table(table, f"Every number of {model}{way and f', {way}'}. {SEEDS}", f"numbers-{n}")
        for n, (model, way, table) in enumerate(_apart(measures, models), 1)
    ]
    packages = ("booktabs", "longtable", "pdflscape")
    write_text(folder / "table.tex", "\n".join(glanced))
    write_text(folder / "numbers.tex", document(every, about, packages))
    parts = [
        figure_float(drawn.chart, drawn.stem)
        for mine in gallery.drawn.values() for drawn in mine if drawn.pdf
    ]  # fmt: skip
    if parts:
        # LaTeX keeps 52 floats waiting, no more
        parts = [part + "\\clearpage\n" * (n % 12 == 0) for n, part in enumerate(parts, 1)]
        write_text(folder / "figures.tex", document(parts, about, ("graphicx",)))


def _apart(measures: Measures, models: Sequence[str]) -> Iterator[tuple[str, str, Table]]:
    """All numbers, a table for each model and way of evaluating it."""
    for model in models:
        mine = [p for p in measures.points if p.model == model]
        for way, (head, *rows) in full_tables(mine, measures.flagged):
            yield model, way, [row[1:] for row in (head, *rows)]


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
