"""The numbers of a report as HTML sections and as files."""

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from fairseq_prune.files.table import SCROLL, Table, as_csv, as_html, as_markdown, as_text
from fairseq_prune.files.writing import write_text
from fairseq_prune.report.degenerate import flags
from fairseq_prune.report.number_parts import Part
from fairseq_prune.report.number_tables import comparison_rows
from fairseq_prune.report.numbers import Numbers
from fairseq_prune.report.points import Place, places_of
from fairseq_prune.report.tables import full_table, full_tables, glances, point_table, signatures

LONG = 40  # rows that a page shows without being asked
ALL = (
    "BLEU of a model that collapsed says little: read it with the perplexity, the brevity penalty "
    "(1: not too short) and the length ratio (output words by reference words)."
)
SEEDS = (
    " Where a place has several seeds, numbers are means over them, and sd is the sample's "
    "standard deviation."
)
WRAPPED = 'dir="auto" style="white-space:normal;text-align:left;min-width:11rem"'


def number_sections(numbers: Numbers, parts: Sequence[Part]) -> list[str]:
    """HTML fragments, a heading each: the parts, and the table of every number."""
    seeds = any(len(members) > 1 for members in places_of(numbers.points).values())
    text = any(p.has_text for p in numbers.points)
    about = (ALL if text else "") + (SEEDS if seeds else "")
    every = [
        Part(f"Every number{': ' if name else ''}{name}", about, [table])
        for name, table in _full(numbers)
    ]
    return [_section(part) for part in (*parts, *every)]


def write_tables(numbers: Numbers, parts: Sequence[Part], folder: Path) -> None:
    """Write table.txt, table.md and table.csv (a row a place), points.csv (a row a point).

    Where they could be measured: significance.csv (a row a comparison), numbers.md (the parts),
    examples.md (the sentences that changed most).
    """
    tables = glances(numbers.points)
    for name, table in _full(numbers):
        tables.append([[f"{table[0][0]} ({name})" if name else table[0][0], *table[0][1:]],
                       *table[1:]])  # fmt: skip
    notes = "".join(f"{name} {made}\n" for name, made in signatures(numbers.points))
    write_text(folder / "table.txt", "\n".join(map(as_text, tables)) + notes)
    signed = notes.replace("<", "&lt;")  # Markdown lets HTML through
    write_text(folder / "table.md", "\n".join(map(as_markdown, tables)) + "\n" + signed)
    write_text(folder / "table.csv", as_csv(full_table(numbers.points, _flags(numbers))))
    write_text(folder / "points.csv", as_csv(point_table(numbers.points)))
    if numbers.comparisons:
        write_text(folder / "significance.csv", as_csv(comparison_rows(numbers)))
    for name, texts in (("numbers.md", False), ("examples.md", True)):
        mine = [part for part in parts if part.texts == texts]
        if mine:
            write_text(folder / name, "\n".join(map(_markdown, mine)))


def _flags(numbers: Numbers) -> dict[Place, str]:
    return flags(numbers.points, numbers.shares)


def _full(numbers: Numbers) -> list[tuple[str, Table]]:
    return full_tables(numbers.points, _flags(numbers))


def _markdown(part: Part) -> str:
    # Markdown lets HTML through, and sentences are anybody's
    safe: Callable[[str], str] = escape if part.texts else str
    tables = [[[safe(cell) for cell in row] for row in table] for table in part.tables]
    heading = part.heading.replace("<", "&lt;")
    return "\n".join([f"## {heading}\n", f"{part.caption}\n", *map(as_markdown, tables)])


def _section(part: Part) -> str:
    lines = [f"<h2>{escape(part.heading)}</h2>", f"<p>{escape(part.caption)}</p>"]
    for table in part.tables:
        drawn = _texts(table) if part.texts else as_html(table)
        if len(table) > LONG:
            drawn = f"<details><summary>all {len(table) - 1} rows</summary>{drawn}</details>"
        lines.append(drawn)
    return "\n".join(lines)


def _texts(table: Table) -> str:
    """A table whose columns 1 to 4 are sentences, which wrap and may run from right to left."""
    lines = ["<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in table[0]) + "</tr>"]
    for row in table[1:]:
        opened = [f"<td {WRAPPED}>" if 1 <= i <= 4 else "<td>" for i in range(len(row))]
        cells = [f"{tag}{escape(cell)}</td>" for tag, cell in zip(opened, row, strict=True)]
        lines.append("<tr>" + "".join(cells) + "</tr>")
    return SCROLL + "\n".join(lines) + "</table></div>"
