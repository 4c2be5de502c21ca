"""A report as one HTML page: opens from disk, asks the network for nothing, fits a phone."""

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from importlib.resources import files

from fairseq_prune.files.table import SCROLL, Table, as_html
from fairseq_prune.report.animation_figure import markup, script
from fairseq_prune.report.chart import in_page
from fairseq_prune.report.gallery import FIGURES, Drawn, Gallery
from fairseq_prune.report.measure_tables import Section
from fairseq_prune.report.points import Point, models_of
from fairseq_prune.report.provenance import measured_on, signatures
from fairseq_prune.report.tables import glances

ROWS = 200  # of a figure's table that a page shows; its file has all
LONG = 40  # rows of a section's table that a page shows without being asked
WRAPPED = 'dir="auto" style="white-space:normal;text-align:left;min-width:11rem"'


def page(
    points: Sequence[Point],
    title: str,
    command: str,
    gallery: Gallery,
    notes: Sequence[str] = (),
    sections: Sequence[Section] = (),
) -> str:
    """The page.

    Args:
        points: of all models.
        title: its heading.
        command: what made it, to be shown.
        gallery: the figures.
        notes: sentences on what could not be used, for its top.
        sections: what follows the figures.
    """
    body = "\n".join(
        [
            f"<h1>{escape(title)}</h1>",
            *(
                f'<p class="quiet">{name} signature: <code>{escape(signature)}</code></p>'
                for name, signature in signatures(points)
            ),
            f'<p class="quiet">{escape(measured_on(points))}</p>',
            _notes(notes),
            _contents(gallery, points, sections),
            *_models(points, command, gallery),
            *(_section(section, number) for number, section in enumerate(sections, 1)),
            _missing(gallery),
        ]
    )
    moving = any(drawn.animation for mine in gallery.drawn.values() for drawn in mine)
    end = f"<script>{script()}</script>\n" if moving else ""
    end += "</body></html>\n"
    return f"{_head(title)}<body>\n<main>\n{body}\n</main>\n{end}"


def _head(title: str) -> str:
    style = (files("fairseq_prune.report") / "page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script().encode()).digest()).decode("ascii")
    # nothing is fetched, and no script but our own runs
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{escape(title)}</title><style>{style}</style></head>
"""


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in notes)
    return f'<aside class="notes" aria-label="notes"><ul>{items}</ul></aside>'


def _contents(gallery: Gallery, points: Sequence[Point], sections: Sequence[Section]) -> str:
    items = []
    for number, model in enumerate(models_of(points), 1):
        inner = "".join(
            f'<li><a href="#{_id(drawn)}">{escape(FIGURES[drawn.chart.name].shows)}</a></li>'
            for drawn in gallery.drawn.get(model, [])
        )
        inner = f"<ul>{inner}</ul>" if inner else ""
        items.append(f'<li><a href="#model-{number}"><b>{escape(model)}</b></a>{inner}</li>')
    others = [(f"part-{number}", escape(s.heading)) for number, s in enumerate(sections, 1)]
    if any(gallery.missing.values()):
        others.append(("missing", "What is missing"))
    items += [f'<li><a href="#{name}"><b>{heading}</b></a></li>' for name, heading in others]
    return f'<nav aria-label="contents"><ul>{"".join(items)}</ul></nav>'


def _models(points: Sequence[Point], command: str, gallery: Gallery) -> list[str]:
    parts = []
    pairs = zip(models_of(points), glances(points), strict=True)
    for number, (model, glance) in enumerate(pairs, 1):
        parts += [f'<h2 id="model-{number}">{escape(model)}</h2>', as_html(glance)]
        parts += [_figure(drawn, command) for drawn in gallery.drawn.get(model, [])]
    return parts


def _id(drawn: Drawn) -> str:
    return escape(drawn.stem)


def _figure(drawn: Drawn, command: str) -> str:
    chart, name = drawn.chart, _id(drawn)
    wide = " wide" if chart.is_wide else ""
    if drawn.animation is not None:
        picture = markup(drawn.animation, f"{name}-animation")
        picture += f"<noscript><p>It needs JavaScript; a still is in {name}.png.</p></noscript>"
    else:
        label = f'<svg role="img" aria-labelledby="{name}-title" '
        drawing = in_page(drawn.svg, name).replace("<svg ", label, 1)
        picture = f'<div class="picture" tabindex="0">{drawing}</div>' if chart.is_wide else drawing
    kind = " moving" if drawn.animation else ""
    note = ""
    if len(chart.table) > ROWS + 1:
        note = f"<p>The first {ROWS} of {len(chart.table) - 1} rows; the file has all.</p>"
    made = "\n".join(chart.commands)
    return f"""<figure id="{name}" class="{chart.name}{kind}{wide}" aria-labelledby="{name}-title">
<h3 id="{name}-title">{escape(chart.title)}</h3>
{picture}
<figcaption><p>{escape(chart.caption)}</p>
<details><summary>the data and the commands</summary>
{as_html(chart.table[: ROWS + 1])}{note}
<p>Files: {_files(drawn)}</p>
<p>The figure:</p><pre>{escape(command)}</pre>
<p>The numbers:</p><pre>{escape(made)}</pre>
</details></figcaption></figure>"""


def _files(drawn: Drawn) -> str:
    """Links to the figure's files, which lie beside the page."""
    kinds = ("png", "svg", *(["pdf"] if drawn.pdf else []), "csv")
    names = (f"{escape(drawn.stem)}.{kind}" for kind in kinds)
    return ", ".join(f'<a href="{name}">{name}</a>' for name in names)


def _section(section: Section, number: int) -> str:
    """A section, its heading with a name that the contents can point at."""
    lines = [f'<h2 id="part-{number}">{escape(section.heading)}</h2>']
    lines.append(f"<p>{escape(section.caption)}</p>")
    for table in section.tables:
        drawn = _texts(table) if section.texts else as_html(table)
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


def _missing(gallery: Gallery) -> str:
    """What is not drawn, and what would give it; the same for several models is said once."""
    models: dict[str, list[str]] = {}
    for model, names in gallery.missing.items():
        for name in names:
            models.setdefault(name, []).append(model)
    if not models:
        return ""
    items = "".join(
        f"<dt>{escape(FIGURES[name].shows)} ({escape(', '.join(models[name]))})</dt>"
        f"<dd><code>{escape(FIGURES[name].command)}</code></dd>"
        for name in FIGURES
        if name in models
    )
    return f"""<h2 id="missing">What is missing</h2>
<p>There is nothing to draw these from yet; the command beside each makes it.</p>
<dl class="missing">{items}</dl>"""
