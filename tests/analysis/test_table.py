"""Tables by hand, and the same numbers in text, Markdown and CSV."""

import csv
import io
from pathlib import Path

import pytest

from fairseq_prune.analysis.points import Point, read_points
from fairseq_prune.analysis.table import (
    as_csv,
    as_markdown,
    as_text,
    full_table,
    glance,
    number,
    signatures,
)
from tests.analysis.rows import SIGNATURE, study, write


@pytest.fixture
def points(tmp_path: Path) -> list[Point]:
    return read_points([write(tmp_path, *study())])


def test_a_glance_has_a_row_for_each_scheme_and_a_column_for_each_percentage(
    points: list[Point],
) -> None:
    assert as_text(glance(points, "m")) == (
        "m: BLEU at % removed                        0     40     80\n"
        "--------------------------------------  -----  -----  -----\n"
        "dense                                   36.50\n"
        "pruned, class-blind                            35.00  12.00\n"
        "pruned, random                                  3.50   1.20\n"
        "pruned + retrained, class-blind                36.00  36.00\n"
        "pruned + retrained, random                     20.00  20.00\n"
        "sparse from the beginning, class-blind                30.00\n"
    )


def test_every_point_stands_in_the_full_table_with_lengths_and_perplexity(
    points: list[Point],
) -> None:
    header, first, second, *rest = full_table(points)
    assert header[4:] == [
        "BLEU",
        "chrF",
        "valid ppl",
        "test ppl",
        "brevity penalty",
        "length ratio",
    ]
    assert first == ["m", "dense", "-", "0.00%", "36.50", "50.00", "4.50", "-", "0.988", "1.012"]
    assert second[:5] == ["m", "pruned", "class-blind", "40.00%", "35.00"]
    assert len(rest) == len(points) - 2


def test_csv_has_the_same_cells_as_numbers(points: list[Point]) -> None:
    table = full_table(points)
    read = list(csv.reader(io.StringIO(as_csv(table))))
    assert len(read) == len(table)
    assert [float(row[3]) for row in read[1:3]] == [0.0, 40.0]


def test_markdown_aligns_numbers_to_the_right(points: list[Point]) -> None:
    lines = as_markdown(glance(points, "m")).splitlines()
    assert lines[1] == "| --- | ---: | ---: | ---: |"
    assert lines[3] == "| pruned, class-blind |  | 35.00 | 12.00 |"


def test_a_bar_in_a_cell_does_not_split_it() -> None:
    assert as_markdown([["a"], ["x|y"]]).endswith("| x\\|y |\n")


def test_one_signature_is_said_once(points: list[Point]) -> None:
    assert signatures(points) == [SIGNATURE]


@pytest.mark.parametrize("value, text", [(None, "-"), (1.005, "1.00"), (2e7, "2.00e+07")])
def test_numbers_are_short(value: float | None, text: str) -> None:
    assert number(value, 2) == text
