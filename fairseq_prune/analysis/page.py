"""A report as one HTML page: opens from disk, asks the network for nothing, fits a phone."""

from collections.abc import Sequence
from html import escape

from fairseq_prune.analysis.figures import Figure, as_svg, figures_of
from fairseq_prune.analysis.number_page import note_list
from fairseq_prune.analysis.points import Point, models_of
from fairseq_prune.analysis.table import Table, full_table, glances, signatures

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 0 auto;
       max-width: 60rem; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
figure { margin: 1rem 0; max-width: 44rem; }
svg { width: 100%; height: auto; font-family: system-ui, sans-serif; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #ddd; text-align: right;
         white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
pre { background: #f4f4f4; padding: .6rem; overflow-x: auto; font-size: .8rem; }
summary { cursor: pointer; }
"""


def page(
    points: Sequence[Point],
    title: str,
    command: str,
    notes: Sequence[str] = (),
    sections: Sequence[str] = (),
) -> str:
    """The page.

    Args:
        points: of all models.
        title: its heading.
        command: what made it, to be shown.
        notes: what is missing, shown at the top.
        sections: HTML that follows the figures, see
            :func:`~fairseq_prune.analysis.number_page.number_sections`.
    """
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        *note_list(notes),
        *(f"<p>sacreBLEU signature: <code>{escape(s)}</code></p>" for s in signatures(points)),
    ]
    for model, glance in zip(models_of(points), glances(points), strict=True):
        parts += [f"<h2>{escape(model)}</h2>", _table(glance)]
        parts += [_figure(figure, command) for figure in figures_of(points, model)]
    parts += [*sections, "</body></html>"]
    return "\n".join(parts) + "\n"


def _figure(figure: Figure, command: str) -> str:
    return "\n".join(
        [
            f'<figure role="group" aria-label="{escape(figure.title)}">',
            as_svg(figure),
            f"<figcaption>{escape(figure.caption)} The dashed line is the dense model.",
            "<details><summary>the data and the commands</summary>",
            _table(full_table(figure.points)),
            f"<p>The figure:</p><pre>{escape(command)}</pre>",
            f"<p>The numbers:</p><pre>{escape(_commands(figure.points))}</pre>",
            "</details></figcaption></figure>",
        ]
    )


def _commands(points: Sequence[Point]) -> str:
    commands = dict.fromkeys(str(p.row.get("command", "")) for p in points)
    return "\n".join(filter(None, commands))


def _table(table: Table) -> str:
    head, *rows = table
    lines = ["<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in rows]
    return '<div class="scroll"><table>' + "".join(lines) + "</table></div>"
