"""Tables as text, Markdown, HTML, LaTeX and CSV."""

import csv
import io
import re
from html import escape

Table = list[list[str]]  # the header, then the rows


def number(value: float | None, digits: int) -> str:
    """A number to be read, without a cell's width in digits where it is huge."""
    if value is None:
        return "-"
    return f"{value:.2e}" if abs(value) >= 1e6 else f"{value:.{digits}f}"


def as_text(table: Table, rule: bool = True) -> str:
    """The table with aligned columns; numbers to the right, under their header.

    Args:
        rule: whether there is a line below the header.
    """
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    left = [_is_text(table, i) for i in range(len(widths))]
    lines = []
    for row in table:
        cells = [
            cell.ljust(width) if to_left else cell.rjust(width)
            for cell, width, to_left in zip(row, widths, left, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    if rule:
        lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines) + "\n"


def as_markdown(table: Table) -> str:
    """The table in Markdown, which lets HTML through: no cell begins a tag."""
    rule = ["---" if _is_text(table, i) else "---:" for i in range(len(table[0]))]
    rows = [table[0], rule, *table[1:]]
    safe = [[c.replace("<", "&lt;").replace("|", "\\|") for c in row] for row in rows]
    return "".join("| " + " | ".join(row) + " |\n" for row in safe)


# a keyboard can scroll what it can reach
SCROLL = '<div class="scroll" role="region" aria-label="table" tabindex="0">'
MANY = 12  # columns: a table of more is set in smaller letters


def as_html(table: Table) -> str:
    """The table as HTML that scrolls by itself where it is wide; every cell escaped.

    Columns of text, their headers too, have the class "text". A number is never broken, but may
    stand above its deviation.
    """
    head, *rows = table
    many = ' class="many"' if len(head) > MANY else ""
    kinds = [' class="text"' if _is_text(table, i) else "" for i in range(len(head))]
    cells = (f'<th scope="col"{k}>{escape(c)}</th>' for k, c in zip(kinds, head, strict=True))
    lines = ["<thead><tr>" + "".join(cells) + "</tr></thead><tbody>"]
    for row in rows:
        cells = (f"<td{k}>{_in_html(c)}</td>" for k, c in zip(kinds, row, strict=True))
        lines.append("<tr>" + "".join(cells) + "</tr>")
    return f"{SCROLL}<table{many}>" + "\n".join(lines) + "</tbody></table></div>"


def _in_html(cell: str) -> str:
    mean, sign, deviation = escape(cell).partition(" ± ")
    return f'{mean} <span class="sd">± {deviation}</span>' if sign else mean


_TEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", "<": "$<$", ">": "$>$", "|": r"\textbar{}",
    **{sign: "\\" + sign for sign in "&%$#_{}"},
}  # fmt: skip


def as_latex(table: Table) -> str:
    """The table in LaTeX, a ``tabular`` with the lines of the package booktabs; cells escaped."""
    columns = latex_columns(table)
    head, *rows = (" & ".join(map(in_latex, row)) + r" \\" for row in table)
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule", *rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def latex_columns(table: Table) -> str:
    """The alignment of each column, as ``tabular`` takes it: "lrr"."""
    return "".join("l" if _is_text(table, i) else "r" for i in range(len(table[0])))


def in_latex(cell: str) -> str:
    """Plain text in LaTeX."""
    text = "".join(_TEX.get(sign, sign) for sign in cell)
    # a bracket or a star at a row's beginning would be read as of the line break before it
    text = f"{{{text}}}" if text.startswith(("[", "*")) else text
    # a minus before a number is no hyphen
    return re.sub(r"^-(?=[\d.])", "$-$", text)


def as_csv(table: Table) -> str:
    """The table in CSV, percent signs left out so that numbers are numbers."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in table:
        writer.writerow([cell.removesuffix("%") for cell in row])
    return text.getvalue()


def _is_text(table: Table, column: int) -> bool:
    cells = [row[column] for row in table[1:]]
    numbers = any(cell.lstrip("[+-")[:1].isdigit() for cell in cells)
    missing = all(cell in ("-", "") for cell in cells)
    return column == 0 or not (numbers or missing)
