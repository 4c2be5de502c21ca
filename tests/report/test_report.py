"""Figures, the page, and the folder that a report leaves."""

import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from fairseq_prune.cli.main import main
from fairseq_prune.report.chart import Chart, in_page, save_chart
from fairseq_prune.report.figures import by_scheme, by_stage, over_seeds
from fairseq_prune.report.gallery import Gallery
from fairseq_prune.report.measure_tables import Section
from fairseq_prune.report.page import page
from fairseq_prune.report.points import Point, read_points
from fairseq_prune.report.report import write_report
from fairseq_prune.report.styles import STYLES, styles_of
from tests.report import tiny
from tests.report.rows import row, study, write
from tests.report.tiny import FIGURES


@pytest.fixture
def points(tmp_path: Path) -> list[Point]:
    return read_points([write(tmp_path, *study())])


def drawn(chart: Chart | None) -> dict[str, list[tuple[str, str]]]:
    """Percentage removed and BLEU of each line in a chart's data."""
    assert chart is not None
    found: dict[str, list[tuple[str, str]]] = {}
    for label, removed, bleu, *_ in chart.table[1:]:
        found.setdefault(label, []).append((removed, bleu))
    return found


def test_figure_1_has_a_line_for_each_scheme_as_pruned(points: list[Point]) -> None:
    assert drawn(by_scheme(points, "m")) == {
        "dense": [("0%", "36.50")],
        "class-blind": [("40%", "35.00"), ("80%", "12.00")],
        "random": [("40%", "3.50"), ("80%", "1.20")],
    }


def test_figure_2_sets_retraining_and_the_fresh_start_beside_pruning(points: list[Point]) -> None:
    assert drawn(by_stage(points, "m")) == {
        "dense": [("0%", "36.50")],
        "pruned": [("40%", "35.00"), ("80%", "12.00")],
        "pruned + retrained": [("40%", "36.00"), ("80%", "36.00")],
        "sparse from the beginning": [("80%", "30.00")],
        "random + retrained": [("40%", "20.00"), ("80%", "20.00")],
    }


def seeded(*bleus: float) -> list[dict[str, Any]]:
    """A pruned model at 40%, a row for each seed."""
    rows = []
    for seed, bleu in enumerate(bleus):
        one = row("pruned", "class-blind", 0.4, bleu, sha=str(seed))
        one["tags"]["seed"] = str(seed)
        rows.append(one)
    return rows


def test_lines_are_means_over_seeds(tmp_path: Path) -> None:
    found = by_scheme(read_points([write(tmp_path, *seeded(10, 12, 14))]), "m")
    assert found is not None
    assert found.table[1] == ["class-blind", "40%", "12.00", "2.00", "3"]


def test_figure_8_has_the_median_and_the_quartiles(tmp_path: Path) -> None:
    found = over_seeds(read_points([write(tmp_path, *seeded(10, 11, 13, 20))]), "m")
    assert found is not None
    numbers = ["10.00", "10.75", "12.00", "14.75", "20.00", "4"]
    assert found.table[1] == ["pruned", "class-blind", "40%", *numbers]


def test_a_figure_without_lines_is_left_out(tmp_path: Path) -> None:
    points = read_points([write(tmp_path / "d", row("dense", None, 0.0, 1))])
    assert by_scheme(points, "m") is by_stage(points, "m") is over_seeds(points, "m") is None


def test_lines_of_one_figure_differ_in_colour_marker_and_dash() -> None:
    schemes = ("class-blind", "class-uniform", "class-distribution", "erk", "random")
    stages = ("pruned", "retrained", "scratch", "random")
    for group in (schemes, stages):
        for a, b in combinations(group, 2):
            assert all(STYLES[a][k] != STYLES[b][k] for k in ("color", "marker", "linestyle"))


def test_methods_without_a_style_get_one_that_nothing_else_has() -> None:
    names = ["class-blind", "snip, class-blind", "grasp, class-blind", "class-blind, row"]
    looks = [str(style) for style in styles_of(names).values()]
    assert len(set(looks)) == len(names)
    assert styles_of(["class-uniform, 90%"])["class-uniform, 90%"] == STYLES["class-uniform"]


def test_the_drawing_is_the_same_each_time_and_says_what_the_axes_are(
    points: list[Point], tmp_path: Path
) -> None:
    figure = by_scheme(points, "m")
    assert figure is not None
    drawing = save_chart(figure, tmp_path, "a", pdf=True)
    assert drawing == save_chart(figure, tmp_path, "b", pdf=True)
    for kind in ("svg", "pdf"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    ElementTree.fromstring(drawing)
    ElementTree.parse(tmp_path / "a.svg")
    for text in ("BLEU", "weights removed (%)", "dense 36.5", "class-blind", "random"):
        assert text in drawing


def test_drawings_in_one_page_share_no_name_and_take_its_colours(
    points: list[Point], tmp_path: Path
) -> None:
    figure = by_scheme(points, "m")
    assert figure is not None
    svg = save_chart(figure, tmp_path, "a")
    one, two = in_page(svg, "one"), in_page(svg, "two")
    names = [set(re.findall(r'\bid="([^"]+)"', text)) for text in (one, two)]
    assert not names[0] & names[1]
    assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', one)) and "#000000" not in one
    for reference in re.findall(r'(?:href="#|url\(#)([^")]+)', one):
        assert reference in names[0]


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        local = ("#", "data:")
        for name, value in attrs:
            if name in ("src", "href", "xlink:href") and not (value or "").startswith(local):
                self.fetched.append((tag, value))


@pytest.fixture(scope="module")
def made(reported: Path) -> str:
    """The page of a tiny study with all ten figures."""
    return (reported / "report" / "index.html").read_text()


def test_the_page_asks_the_network_for_nothing(made: str) -> None:
    tags = _Tags()
    tags.feed(made)
    names = {f"m-{name}.{kind}" for name in FIGURES for kind in ("png", "svg", "csv")}
    assert {value for _, value in tags.fetched} == names  # links to the files beside it
    assert {tag for tag, _ in tags.fetched} == {"a"}
    assert not re.search(r"url\((?!#)|@import|fetch\(|XMLHttpRequest", made)
    assert 'name="viewport"' in made and "default-src 'none'" in made


def test_the_page_has_all_ten_figures_with_data_and_commands(made: str) -> None:
    figures = re.findall(r"<figure.*?</figure>", made, re.DOTALL)
    assert [re.findall(r'id="m-(\w+)"', figure)[0] for figure in figures] == FIGURES
    for figure in figures:
        assert "make it" in figure and "<td>" in figure
        assert re.search("<pre>fairseq-prune (evaluate|sensitivity)", figure)
    assert "<td>36.50</td>" in figures[0]
    assert 'id="missing"' not in made


def test_headings_are_in_order_and_names_of_parts_are_unique(made: str) -> None:
    levels = [int(level) for level in re.findall(r"<h(\d)", made)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))
    names = re.findall(r'\bid="([^"]+)"', made)
    assert len(names) == len(set(names))
    assert set(re.findall(r'aria-labelledby="([^"]+)"|href="#(m-\w+)"', made))
    for target in re.findall(r'<a href="#([^"]+)"', made):
        assert target in names


def test_names_cannot_inject_markup(tmp_path: Path) -> None:
    evil = '</script><script>alert(1)</script>"$\\frac$<u>'
    tiny.add_dense(tmp_path)
    path = tmp_path / "points" / "dense" / "results.jsonl"
    dense = json.loads(path.read_text())
    names = {"command": evil, "bleu_signature": evil, "tags": {"model": evil, "stage": "dense"}}
    path.write_text(json.dumps({**dense, **names}) + "\n")
    pruned = row("pruned", evil, 0.5, 1.0) | {"tags": {"model": evil}, "command": evil}
    write(tmp_path / "more", pruned)
    tiny.add_sensitivity(tmp_path, evil[9:20].replace("/", ""), tags={"model": evil}, command=evil)
    write_report([str(tmp_path)], str(tmp_path / "out"), evil, evil)
    text = (tmp_path / "out" / "index.html").read_text()
    assert text.count("<script") == 2  # the animation's data, and what moves it
    assert text.count("alert(1)") > 10 and "<script>alert" not in text
    assert "<u>" not in text and "&lt;u&gt;" in text


def test_a_report_leaves_tables_figures_and_the_page(tmp_path: Path) -> None:
    results = write(tmp_path / "m", *study())
    output = tmp_path / "report"
    text = write_report([str(results)], str(output), "t", "c")
    figures = [f"m-figure{n}.{kind}" for n in (1, 2) for kind in ("csv", "png", "svg")]
    tables = ["points.csv", "table.csv", "table.md", "table.txt"]
    assert sorted(path.name for path in output.iterdir()) == ["index.html", *figures, *tables]
    assert (output / "table.txt").read_text().startswith(text.partition("\nsacreBLEU")[0])
    assert (output / "m-figure1.png").read_bytes().startswith(b"\x89PNG")
    assert (output / "m-figure1.csv").read_text().startswith("line,removed,BLEU,sd,seeds\ndense,0,")


def test_for_papers_there_are_latex_and_pdf_too(tmp_path: Path) -> None:
    write(tmp_path / "m", *study())
    output = tmp_path / "report"
    assert (
        main(["report", str(tmp_path / "m"), "--output", str(output), "--format", "pdf,tex"]) == 0
    )
    assert (output / "m-figure1.pdf").read_bytes().startswith(b"%PDF")
    assert 'href="m-figure1.pdf"' in (output / "index.html").read_text()
    for name in ("table", "numbers"):
        assert (output / f"{name}.tex").read_text().count(r"\bottomrule") == 1
    assert "{m-figure1.pdf}" in (output / "figures.tex").read_text()


def test_the_page_says_what_is_missing_and_what_would_give_it(tmp_path: Path) -> None:
    results = write(tmp_path / "m", *study())
    write_report([str(results)], str(tmp_path / "out"), "t", "c")
    text = (tmp_path / "out" / "index.html").read_text()
    missing = text[text.index('id="missing"') :]
    assert "fairseq-prune sensitivity CHECKPOINT" in missing
    assert "the animation of pruning (m)" in missing and "score by scheme" not in missing


def test_figures_are_drawn_of_some_models_and_the_tables_have_all(tmp_path: Path) -> None:
    rows = [row("pruned", "class-blind", 0.5, 9.0, sha=m, model=m) for m in "abcdef"]
    path = write(tmp_path / "r", *rows)
    said = write_report([str(path)], str(tmp_path / "out"), "t", "c")
    assert {p.name[0] for p in (tmp_path / "out").glob("*.png")} == set("abcd")
    assert "figures of e, f" in said and "f: BLEU" in said


def test_sections_stand_in_the_page_and_its_contents(points: list[Point]) -> None:
    text = page(points, "t", "c", Gallery(), sections=[Section("More", "", [])])
    assert '<h2 id="part-1">More</h2>' in text
    assert '<a href="#part-1"><b>More</b></a>' in text


def test_the_command_prints_the_table_and_says_last_where_the_page_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, *study())
    assert main(["report", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "m: how much can be pruned" and lines[1].startswith("- No answer: ")
    assert "m: BLEU at % removed" in "\n".join(lines)
    assert any(line.startswith("note: Checkpoints that are not there") for line in lines)
    assert lines[-1] == f"report: {tmp_path}/report/index.html"


def test_the_heading_names_the_folders(tmp_path: Path) -> None:
    write(tmp_path / "a", row("dense", None, 0.0, 3.0))
    file = write(tmp_path / "b", row("dense", None, 0.0, 3.0, model="n"))
    out, page = tmp_path / "out", tmp_path / "out" / "index.html"
    words = ["report", str(tmp_path / "a"), str(file), "--output", str(out)]
    assert main(words) == 0
    assert "<h1>Pruning: a, b</h1>" in page.read_text()
    assert main([*words, "--title", "Two models"]) == 0
    assert "<h1>Two models</h1>" in page.read_text()


def test_a_report_of_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "results.jsonl"
    empty.write_text("")
    assert main(["report", str(empty), "--output", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == (
        f"fairseq-prune: {empty} holds no results yet; run fairseq-prune evaluate.\n"
    )
    assert not (tmp_path / "out").exists()
