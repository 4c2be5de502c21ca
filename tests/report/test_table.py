"""Tables by hand, and the same numbers in text, Markdown and CSV."""

import csv
import io
from pathlib import Path

import pytest

from fairseq_prune.files.table import as_csv, as_html, as_latex, as_markdown, as_text, number
from fairseq_prune.report.points import Point, read_points
from fairseq_prune.report.provenance import signatures
from fairseq_prune.report.tables import full_table, glance, point_table
from tests.report.rows import SIGNATURE, row, study, write


@pytest.fixture
def points(tmp_path: Path) -> list[Point]:
    return read_points([write(tmp_path, *study())])


def test_a_glance_has_a_row_for_each_scheme_and_a_column_for_each_percentage(
    points: list[Point],
) -> None:
    assert as_text(glance(points, "m")) == (
        "m: BLEU at % removed                    seeds      0     40     80\n"
        "--------------------------------------  -----  -----  -----  -----\n"
        "dense                                       1  36.50\n"
        "pruned, class-blind                         1         35.00  12.00\n"
        "pruned, random                              1          3.50   1.20\n"
        "pruned + retrained, class-blind             1         36.00  36.00\n"
        "pruned + retrained, random                  1         20.00  20.00\n"
        "sparse from the beginning, class-blind      1                30.00\n"
    )


def test_every_point_stands_in_the_full_table_with_lengths_and_perplexity(
    points: list[Point],
) -> None:
    header, first, second, *rest = full_table(points)
    assert header[4:] == [
        "seeds",
        "BLEU",
        "chrF",
        "valid ppl",
        "test ppl",
        "brevity penalty",
        "length ratio",
    ]
    assert first == [
        "m",
        "dense",
        "-",
        "0.00%",
        "1",
        "36.50",
        "50.00",
        "4.50",
        "-",
        "0.988",
        "1.012",
    ]
    assert second[:6] == ["m", "pruned", "class-blind", "40.00%", "1", "35.00"]
    assert len(rest) == len(points) - 2


def test_csv_has_the_same_cells_as_numbers(points: list[Point]) -> None:
    table = full_table(points)
    read = list(csv.reader(io.StringIO(as_csv(table))))
    assert len(read) == len(table)
    assert [float(row[3]) for row in read[1:3]] == [0.0, 40.0]


def test_latex_has_the_same_cells_and_no_sign_that_it_reads_for_itself(
    points: list[Point],
) -> None:
    table = full_table(points)
    lines = as_latex(table).splitlines()
    assert lines[0] == r"\begin{tabular}{lllrrrrrrrr}" and lines[-1] == r"\end{tabular}"
    rows = [line.removesuffix(r" \\").split(" & ") for line in lines if line.endswith(r"\\")]
    plain = [[cell.replace(r"\%", "%") for cell in row] for row in rows]
    assert plain == table
    (cell,) = as_latex([["x"], [r"50% & a_b \c {d} ~^ #$ 1 ± 2 <|>"]]).splitlines()[4:5]
    assert cell == (
        r"50\% \& a\_b \textbackslash{}c \{d\} \textasciitilde{}\textasciicircum{} \#\$ "
        r"1 $\pm$ 2 $<$\textbar{}$>$ \\"
    )
    assert as_latex([["x"], ["-1.50"], ["-"], ["class-blind"]]).splitlines()[4:7] == [
        r"$-$1.50 \\", r"- \\", r"class-blind \\"
    ]  # fmt: skip


def test_markdown_aligns_numbers_to_the_right(points: list[Point]) -> None:
    lines = as_markdown(glance(points, "m")).splitlines()
    assert lines[1] == "| --- | ---: | ---: | ---: | ---: |"
    assert lines[3] == "| pruned, class-blind | 1 |  | 35.00 | 12.00 |"


def test_a_bar_in_a_cell_does_not_split_it() -> None:
    assert as_markdown([["a"], ["x|y"]]).endswith("| x\\|y |\n")


def test_one_signature_is_said_once(points: list[Point]) -> None:
    assert signatures(points) == [("sacreBLEU", SIGNATURE)]


def test_the_tokenized_bleu_has_a_column_where_a_row_has_it(tmp_path: Path) -> None:
    dense, *rest = study()
    dense |= {"tokenized_bleu": 37.25, "tokenized_bleu_signature": "t", "bleu_text": "text:raw"}
    points = read_points([write(tmp_path, dense, *rest)])
    for table in (full_table(points), point_table(points)):
        at = table[0].index("BLEU")
        assert table[0][at + 1 : at + 3] == ["tokenized BLEU", "chrF"]
        assert [line[at + 1] for line in table[1:3]] == ["37.25", "-"]
    assert signatures(points) == [
        ("sacreBLEU", f"{SIGNATURE}|text:raw"), ("tokenized BLEU", "t"), ("sacreBLEU", SIGNATURE),
    ]  # fmt: skip


@pytest.mark.parametrize("value, text", [(None, "-"), (1.005, "1.00"), (2e7, "2.00e+07")])
def test_numbers_are_short(value: float | None, text: str) -> None:
    assert number(value, 2) == text


@pytest.fixture
def seeds(tmp_path: Path) -> list[Point]:
    """Dense and one pruned place, each of two seeds; another place of one."""
    rows = [row("retrained", "class-blind", 0.5, 33.0)]
    for seed, (dense, pruned) in enumerate([(36.0, 30.0), (38.0, 33.0)], 1):
        rows.append(row("dense", None, 0.0, dense, sha=str(seed)))
        rows.append(row("pruned", "class-blind", 0.5, pruned, sha=str(seed)))
        for one in rows[-2:]:
            one["tags"]["seed"] = str(seed)
    rows[-1]["valid_ppl"] = None
    return read_points([write(tmp_path, *rows)])


def test_seeds_share_a_row_with_the_spread_of_every_number(seeds: list[Point]) -> None:
    header, dense, pruned, retrained = full_table(seeds)
    assert header[4:9] == ["seeds", "BLEU", "chrF", "valid ppl", "test ppl"]
    assert dense[4:8] == ["2", "37.00 ± 1.41", "50.00 ± 0.00", "4.50 ± 0.00"]
    # a seed without a perplexity leaves no mean
    assert pruned[4:8] == ["2", "31.50 ± 2.12", "50.00 ± 0.00", "-"]
    assert retrained[4:8] == ["1", "33.00", "50.00", "4.50"]


def test_programs_read_mean_deviation_and_median_in_columns(seeds: list[Point]) -> None:
    header, dense, pruned, retrained = full_table(seeds, apart=True)
    assert header[4:12] == [
        "seeds", "BLEU", "BLEU sd", "BLEU median", "chrF", "chrF sd", "valid ppl", "valid ppl sd"
    ]  # fmt: skip
    assert dense[4:8] == ["2", "37.00", "1.41", "37.00"]
    assert pruned[4:8] == ["2", "31.50", "2.12", "31.50"]
    assert retrained[4:8] == ["1", "33.00", "-", "33.00"]
    # a seed without a perplexity leaves no mean
    assert (dense[10:12], pruned[10:12]) == (["4.50", "0.00"], ["-", "-"])


def test_a_glance_has_mean_and_deviation_over_seeds(seeds: list[Point]) -> None:
    cells = {line[0]: line[1:] for line in glance(seeds, "m")}
    assert cells["dense"] == ["2", "37.00 ± 1.41", ""]
    assert cells["pruned, class-blind"] == ["2", "", "31.50 ± 2.12"]
    assert cells["pruned + retrained, class-blind"] == ["1", "", "33.00"]


def test_where_seeds_differ_in_number_each_cell_says_its_own(tmp_path: Path) -> None:
    rows = [row("pruned", "class-blind", 0.2, 30.0, sha="1"),
            row("pruned", "class-blind", 0.4, 20.0, sha="1"),
            row("pruned", "class-blind", 0.4, 22.0, sha="2")]  # fmt: skip
    for one, seed in zip(rows, "112", strict=True):
        one["tags"]["seed"] = seed
    table = glance(read_points([write(tmp_path, *rows)]), "m")
    assert table[1] == ["pruned, class-blind", "1-2", "", "30.00 (n=1)", "21.00 ± 1.41 (n=2)"]


def test_every_point_has_its_row_with_its_seed(seeds: list[Point]) -> None:
    assert [line[5:7] for line in point_table(seeds)] == [
        ["seed", "BLEU"], ["1", "36.00"], ["2", "38.00"], ["1", "30.00"], ["2", "33.00"],
        ["", "33.00"],
    ]  # fmt: skip


def test_a_flag_has_a_column_where_there_is_one(points: list[Point]) -> None:
    assert full_table(points, {}) == full_table(points)
    table = full_table(points, {points[1].place: "empty, long"})
    assert table[0][-1] == "outputs"
    assert [line[-1] for line in table[1:4]] == ["", "empty, long", ""]


def test_differences_are_numbers() -> None:
    assert as_markdown([["a", "b"], ["x", "-0.5"], ["y", "+1"]]).splitlines()[1] == "| --- | ---: |"


def test_html_is_escaped() -> None:
    assert ">&lt;b&gt;</td>" in as_html([["a"], ["<b>"]])
