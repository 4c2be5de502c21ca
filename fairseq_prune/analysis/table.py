"""Tables: every point with all its numbers, and BLEU at a glance; as text, Markdown and CSV."""

import csv
import io
from collections.abc import Sequence

from fairseq_prune.analysis.points import (
    STAGES,
    Point,
    dense_of,
    models_of,
    schemes_of,
    select,
)

Table = list[list[str]]  # the header, then the rows

# header, entry of a results row, digits
NUMBERS = (
    ("BLEU", "bleu", 2),
    ("chrF", "chrf", 2),
    ("valid ppl", "valid_ppl", 2),
    ("test ppl", "test_ppl", 2),
    ("brevity penalty", "brevity_penalty", 3),
    ("length ratio", "length_ratio", 3),
)


def full_table(points: Sequence[Point]) -> Table:
    """One row a point: what it is, what is really removed, and all its numbers."""
    table = [["model", "stage", "scheme", "removed", *(header for header, _, _ in NUMBERS)]]
    for point in points:
        table.append(
            [
                point.model,
                STAGES[point.stage],
                point.scheme or "-",
                f"{100 * point.row['sparsity']:.2f}%",
                *(number(point.row.get(entry), digits) for _, entry, digits in NUMBERS),
            ]
        )
    return table


def glance(points: Sequence[Point], model: str) -> Table:
    """BLEU of one model: a row for each stage and scheme, a column for each percentage removed."""
    mine = [p for p in points if p.model == model]
    percents = sorted({p.removed for p in mine if p.stage != "dense"})
    dense = dense_of(mine, model)
    table = [[f"{model}: BLEU at % removed", "0", *(f"{percent:g}" for percent in percents)]]
    if dense is not None:
        table.append(["dense", number(dense.bleu, 2), *("" for _ in percents)])
    for stage in list(STAGES)[1:]:
        for scheme in schemes_of(p for p in mine if p.stage == stage):
            by_percent = {p.removed: p for p in select(mine, model, stage, scheme)}
            cells = [number(by_percent[p].bleu, 2) if p in by_percent else "" for p in percents]
            table.append([f"{STAGES[stage]}, {scheme}", "", *cells])
    return table


def glances(points: Sequence[Point]) -> list[Table]:
    """:func:`glance` of every model."""
    return [glance(points, model) for model in models_of(points)]


def signatures(points: Sequence[Point]) -> list[str]:
    """The sacreBLEU signatures that occur: one, where all numbers can be compared."""
    return list(dict.fromkeys(str(p.row["bleu_signature"]) for p in points))


def number(value: float | None, digits: int) -> str:
    """A number to be read, without a cell's width in digits where it is huge."""
    if value is None:
        return "-"
    return f"{value:.2e}" if abs(value) >= 1e6 else f"{value:.{digits}f}"


def as_text(table: Table) -> str:
    """The table with aligned columns; numbers to the right, under their header."""
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    left = [_is_text(table, i) for i in range(len(widths))]
    lines = []
    for row in table:
        cells = [
            cell.ljust(width) if to_left else cell.rjust(width)
            for cell, width, to_left in zip(row, widths, left, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines) + "\n"


def as_markdown(table: Table) -> str:
    """The table in Markdown."""
    rule = ["---" if _is_text(table, i) else "---:" for i in range(len(table[0]))]
    rows = [table[0], rule, *table[1:]]
    return "".join("| " + " | ".join(c.replace("|", "\\|") for c in row) + " |\n" for row in rows)


def as_csv(table: Table) -> str:
    """The table in CSV, percent signs left out so that numbers are numbers."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in table:
        writer.writerow([cell.removesuffix("%") for cell in row])
    return text.getvalue()


def _is_text(table: Table, column: int) -> bool:
    cells = [row[column] for row in table[1:]]
    return column == 0 or (not any(cell[:1].isdigit() for cell in cells) and any(cells))
