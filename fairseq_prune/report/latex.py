"""A report for papers: tables and figures in LaTeX, as floats that fit the page."""

import re
from collections.abc import Mapping, Sequence

from fairseq_prune.files.table import Table, as_latex, in_latex, latex_columns
from fairseq_prune.report.chart import Chart

FITTED = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
WORD = 9  # letters of a column's head; longer ones stand on several lines


def table_float(table: Table, caption: str, label: str) -> str:
    """A table as a float, over both columns of a page that has two, no wider than they are.

    The caption says what the first column's head would.
    """
    table = [["", *table[0][1:]], *table[1:]]
    return f"""\\begin{{table*}}[tp]
\\centering\\small\\setlength{{\\tabcolsep}}{{4pt}}
\\caption{{{in_latex(caption)}}}\\label{{tab:{label}}}
{FITTED}
{_small_deviations(as_latex(table)).strip()}}}
\\end{{table*}}
"""


def long_table(table: Table, caption: str, label: str) -> str:
    """A table of many columns and rows: on its side, over as many pages as it takes.

    The first column becomes headings of groups of rows; columns that say the same in every row are
    said once, in the caption.
    """
    table, same = _without_constants(table)
    said = "; ".join(f"{head} {cell}" for head, cell in same.items())
    caption = f"{caption} ({said})" if said else caption
    head, *rows = table
    lines, group = [], ""
    for row in rows:
        if row[0] != group:
            group = row[0]
            title = rf"\itshape {in_latex(group)}"
            lines.append(rf"\multicolumn{{{len(row) - 1}}}{{l}}{{{title}}} \\*")
        lines.append(" & ".join(map(in_latex, row[1:])) + r" \\")
    body = _small_deviations("\n".join(lines))
    heads = " & ".join(map(_stacked, head[1:])) + r" \\"
    columns = latex_columns([row[1:] for row in table])
    columns = columns[0] + columns[1:].replace("l", "p{1.2cm}")
    return rf"""\begin{{landscape}}
\fontsize{{5}}{{6}}\selectfont\setlength{{\tabcolsep}}{{1.2pt}}
\begin{{longtable}}{{{columns}}}
\caption{{{in_latex(caption)}}}\label{{tab:{label}}}\\
\toprule
{heads}
\midrule
\endfirsthead
\toprule
{heads}
\midrule
\endhead
\bottomrule
\endfoot
{body}
\end{{longtable}}
\end{{landscape}}
"""


def figure_float(chart: Chart, stem: str) -> str:
    """A figure whose PDF is STEM.pdf, as a float."""
    starred = "*" if chart.is_wide else ""
    size = r"width=\linewidth,height=.75\textheight,keepaspectratio"
    return f"""\\begin{{figure{starred}}}[tp]
\\centering\\includegraphics[{size}]{{{stem}.pdf}}
\\caption{{{in_latex(chart.title)}. {in_latex(chart.caption)}}}\\label{{fig:{stem}}}
\\end{{figure{starred}}}
"""


def document(parts: Sequence[str], about: Sequence[str], packages: Sequence[str]) -> str:
    """A file to be put into a document with \\input.

    Args:
        about: lines on how the numbers were made.
        packages: what the document has to load.
    """
    lines = [f"% \\usepackage{{{','.join(packages)}}}", *(f"% {line}" for line in about)]
    return "\n".join([*lines, "", *parts])


def _without_constants(table: Table) -> tuple[Table, Mapping[str, str]]:
    """The table without columns of one value, and those; the names in front stay."""
    head, *rows = table
    same = {i for i in range(3, len(head)) if len(rows) > 1 and len({r[i] for r in rows}) == 1}
    kept = [[cell for i, cell in enumerate(row) if i not in same] for row in table]
    return kept, {head[i]: rows[0][i] for i in sorted(same) if rows[0][i] not in ("", "-")}


def _stacked(head: str) -> str:
    """A column's head, long ones with a word a line."""
    if len(head) <= WORD:
        return in_latex(head)
    return r"\shortstack[r]{" + r"\\".join(in_latex(word) for word in head.split()) + "}"


def _small_deviations(text: str) -> str:
    return re.sub(r"(\d) \$\\pm\$ ([\d.e+]+)", r"\1{\\tiny$\\pm$\2}", text)
