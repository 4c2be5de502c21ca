"""Figures, the page, and the folder that a report leaves."""

import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path

import pytest

from fairseq_prune.analysis.figures import STYLES, as_svg, by_scheme, by_stage, figures_of
from fairseq_prune.analysis.page import page
from fairseq_prune.analysis.points import Point, read_points
from fairseq_prune.analysis.report import write_report
from fairseq_prune.cli.main import main
from tests.analysis.rows import row, study, write


@pytest.fixture
def points(tmp_path: Path) -> list[Point]:
    return read_points([write(tmp_path, *study())])


def test_figure_1_has_a_line_for_each_scheme_as_pruned(points: list[Point]) -> None:
    figure = by_scheme(points, "m")
    drawn = {line.label: [(p.removed, p.bleu) for p in line.points] for line in figure.lines}
    assert drawn == {"class-blind": [(40, 35), (80, 12)], "random": [(40, 3.5), (80, 1.2)]}
    assert figure.dense is not None and figure.dense.bleu == 36.5


def test_figure_2_sets_retraining_and_the_fresh_start_beside_pruning(points: list[Point]) -> None:
    drawn = {line.label: [p.bleu for p in line.points] for line in by_stage(points, "m").lines}
    assert drawn == {
        "pruned": [35, 12],
        "pruned + retrained": [36, 36],
        "sparse from the beginning": [30],
        "random + retrained": [20, 20],
    }


def test_a_figure_without_lines_is_left_out(tmp_path: Path) -> None:
    points = read_points([write(tmp_path / "d", row("dense", None, 0.0, 1))])
    assert figures_of(points, "m") == []


def test_lines_of_one_figure_differ_in_colour_marker_and_dash() -> None:
    schemes = ("class-blind", "class-uniform", "class-distribution", "erk", "random")
    stages = ("pruned", "retrained", "scratch", "random retrained")
    for group in (schemes, stages):
        for a, b in combinations(group, 2):
            assert all(STYLES[a][k] != STYLES[b][k] for k in ("color", "marker", "linestyle"))


def test_the_drawing_is_the_same_each_time_and_says_what_the_axes_are(points: list[Point]) -> None:
    figure = by_scheme(points, "m")
    drawing = as_svg(figure)
    assert drawing == as_svg(figure)
    ElementTree.fromstring(drawing)
    for text in ("BLEU", "weights removed (%)", "dense 36.5", "class-blind", "random"):
        assert text in drawing


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        local = ("#", "data:")
        for name, value in attrs:
            if name in ("src", "href", "xlink:href") and not (value or "").startswith(local):
                self.fetched.append((tag, value))


def test_the_page_asks_the_network_for_nothing(points: list[Point]) -> None:
    text = page(points, "A study", "the command")
    tags = _Tags()
    tags.feed(text)
    assert tags.fetched == []
    assert not re.search(r"url\((?!#)|@import|<script", text)
    assert 'name="viewport"' in text


def test_the_page_shows_data_and_command_beside_each_figure(points: list[Point]) -> None:
    figures = re.findall(r"<figure.*?</figure>", page(points, "t", "make it"), re.DOTALL)
    assert len(figures) == 2
    for figure in figures:
        assert "make it" in figure
        assert "fairseq-prune evaluate dense.pt" in figure
        assert "<td>36.50</td>" in figure


def test_names_cannot_inject_markup(tmp_path: Path) -> None:
    found = read_points([write(tmp_path / "x", row("dense", None, 0.0, 1, model="<b>"))])
    text = page(found, "<i>", "<u>")
    assert not re.search("<[biu]>", text)


def test_a_report_leaves_tables_figures_and_the_page(tmp_path: Path) -> None:
    results = write(tmp_path / "m", *study())
    output = tmp_path / "report"
    text = write_report([str(results)], str(output), "t", "c")
    assert sorted(path.name for path in output.iterdir()) == [
        "index.html", "m-figure1.png", "m-figure2.png", "points.csv", "table.csv", "table.md",
        "table.txt",
    ]  # fmt: skip
    assert (output / "table.txt").read_text().startswith(text.partition("\nsacreBLEU")[0])
    assert (output / "m-figure1.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_prints_the_table_and_says_last_where_the_page_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = write(tmp_path, *study())
    assert main(["report", str(results), "--output", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("m: BLEU at % removed")
    assert lines[-1] == f"report: {tmp_path}/out/index.html"


def test_a_report_of_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "results.jsonl"
    empty.write_text("")
    assert main(["report", str(empty), "--output", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == (
        f"fairseq-prune: {empty} holds no results yet; run fairseq-prune evaluate.\n"
    )
    assert not (tmp_path / "out").exists()
