"""A report as one HTML page: opens from disk, asks the network for nothing, fits a phone."""

import base64
import hashlib
from collections.abc import Sequence
from datetime import datetime, timezone
from html import escape
from importlib.resources import files

from fairseq_prune.files.table import SCROLL, Table, as_html
from fairseq_prune.report.animation_figure import markup, script
from fairseq_prune.report.answer import ABOUT, Answer
from fairseq_prune.report.chart import in_page
from fairseq_prune.report.gallery import FIGURES, Drawn, Gallery
from fairseq_prune.report.measure_tables import Section
from fairseq_prune.report.points import Point, models_of
from fairseq_prune.report.provenance import made_by, measured_on, signatures, size_of
from fairseq_prune.report.tables import glances

ROWS = 200  # of a figure's table that a page shows; its file has all
ON_PAPER = "The rows are in table.md and numbers.md beside the page; open them to print them here."
LONG = 40  # rows of a section's table that a page shows without being asked


def page(
    points: Sequence[Point],
    title: str,
    command: str,
    gallery: Gallery,
    notes: Sequence[str] = (),
    sections: Sequence[Section] = (),
    found: Sequence[Answer] = (),
) -> str:
    """The page.

    Args:
        points: of all models.
        title: its heading.
        command: what made it, to be shown.
        gallery: the figures.
        notes: sentences on what could not be used, for its top.
        sections: what follows the figures.
        found: what is said first, for each model.
    """
    body = "\n".join(
        [
            f"<h1>{escape(title)}</h1>",
            f'<p class="quiet facts">{_facts(points)}</p>',
            _answers(found),
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


def _facts(points: Sequence[Point]) -> str:
    """When, by what and where it was made, and how its scores were."""
    today = datetime.now(timezone.utc).date()
    made = [f"{name} <code>{escape(signed)}</code>" for name, signed in signatures(points)]
    said = [escape(made_by(points, today)), escape(measured_on(points)), *made]
    return "<br>".join(said)


def _answers(found: Sequence[Answer]) -> str:
    """What is said first."""
    if not found:
        return ""
    parts = []
    for answer in found:
        items = "".join(f"<li>{_led(sentence)}</li>" for sentence in answer.sentences)
        caveat = f"<p>{escape(answer.caveat)}</p>" if answer.caveat else ""
        parts.append(f"<h3>{escape(answer.model)}</h3>{caveat}<ul>{items}</ul>")
    if any(answer.tested for answer in found):
        parts.append(f'<p class="quiet">{escape(ABOUT)}</p>')
    return f'<section class="answer"><h2 id="answer">Answer</h2>{"".join(parts)}</section>'


def _led(sentence: str) -> str:
    """A sentence with what it is about in bold."""
    about, colon, rest = sentence.partition(": ")
    return f"<b>{escape(about)}</b>{colon}{escape(rest)}"


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
        size = size_of(points, model)
        parts.append(f'<h2 id="model-{number}">{escape(model)}</h2>')
        parts += [f'<p class="quiet">{escape(size)}</p>'] if size else []
        parts.append(as_html(glance))
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
            drawn += f'<p class="on-paper">{ON_PAPER}</p>'
        lines.append(drawn)
    return "\n".join(lines)


def _texts(table: Table) -> str:
    """A table whose columns 1 to 4 are sentences, which wrap and may run from right to left."""
    sentence = ' class="text sentence" dir="auto"'
    kinds = [sentence if 1 <= i <= 4 else "" for i in range(len(table[0]))]
    heads = (f'<th scope="col"{k}>{escape(c)}</th>' for k, c in zip(kinds, table[0], strict=True))
    lines = ["<thead><tr>" + "".join(heads) + "</tr></thead><tbody>"]
    for row in table[1:]:
        cells = (f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(kinds, row, strict=True))
        lines.append("<tr>" + "".join(cells) + "</tr>")
    return f"{SCROLL}<table>" + "\n".join(lines) + "</tbody></table></div>"


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
