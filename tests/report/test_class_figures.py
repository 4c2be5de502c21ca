"""Figures 3 to 6: their numbers."""

from pathlib import Path
from typing import Any

import pytest

from fairseq_prune.report.chart import save_chart
from fairseq_prune.report.class_figures import (
    nearest,
    perplexity_by_class,
    perplexity_by_magnitude,
    removed_by_class,
)
from fairseq_prune.report.file_finder import FileFinder
from fairseq_prune.report.points import Point, read_points
from fairseq_prune.report.sensitivity_files import ClassPruned, Measured
from fairseq_prune.report.training_figure import training
from tests.report import tiny
from tests.report.rows import row, write


def measured(label: str, *changes: float) -> Measured:
    rows = [ClassPruned(f"c{k}", change, 0.1 * (k + 1)) for k, change in enumerate(changes)]
    return Measured("m", label, label, rows, f"measure {label}")


def test_the_sparsity_nearest_to_90_percent_is_taken_the_smaller_of_two() -> None:
    points = [Point("m", "pruned", "class-blind", removed, {}) for removed in (40, 88, 92, 99)]
    assert nearest(points) == 88


def test_figure_3_has_what_each_scheme_removes_of_each_class(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []
    for scheme, shares in (("class-blind", (0.2, 1.0)), ("class-uniform", (0.6, 0.6))):
        for sparsity in (0.3, 0.6):
            one = row("pruned", scheme, sparsity, 1.0)
            pairs = zip("ab", shares, strict=True)
            one["classes"] = [{"name": n, "sparsity": s * sparsity / 0.6} for n, s in pairs]
            rows.append(one)
    chart = removed_by_class(read_points([write(tmp_path, *rows)]), "m")
    assert chart is not None and "60%" in chart.title
    head = ["class", "class-blind", "class-uniform"]
    assert chart.table == [head, ["a", "20.00", "60.00"], ["b", "100.00", "60.00"]]


def test_figure_4_has_a_bar_for_each_class_and_scheme() -> None:
    chart = perplexity_by_class([measured("x", 1.5, -0.25), measured("y", 2.0)], "m")
    assert chart is not None
    assert chart.table == [["class", "x", "y"], ["c0", "1.50", "2.00"], ["c1", "-0.25", "-"]]
    assert chart.commands == ["measure x", "measure y"]
    assert perplexity_by_class([], "m") is None


def test_many_methods_are_in_the_table_and_some_are_drawn(tmp_path: Path) -> None:
    chart = perplexity_by_class([measured(f"x{k}", 1.0) for k in range(9)], "m")
    assert chart is not None and len(chart.table[0]) == 10
    assert "The first 6 of 9" in chart.caption
    svg = save_chart(chart, tmp_path, "f")
    assert ">x5<" in svg and ">x6<" not in svg


def test_figure_5_leaves_out_what_has_no_logarithm_and_says_so() -> None:
    chart = perplexity_by_magnitude([measured("x", 1.5, -0.25, 10.0)], "m")
    assert chart is not None
    assert [line[1:3] for line in chart.table[1:]] == [["c0", "0.1"], ["c2", "0.3"]]
    assert " 1 without an increase" in chart.caption
    assert perplexity_by_magnitude([measured("x", -1.0)], "m") is None


def test_figure_5_has_the_spread_over_seeds(tmp_path: Path) -> None:
    chart = perplexity_by_magnitude([measured("x", 1.0, 5.0), measured("x", 3.0)], "m")
    assert chart is not None and "thin lines one standard deviation" in chart.caption
    assert chart.table == [
        ["scheme", "class", "largest removed", "largest removed: sd", "change in perplexity",
         "change in perplexity: sd", "seeds"],
        ["x", "c0", "0.1", "0", "2.0000", "1.4142", "2"],
        ["x", "c1", "0.2", "-", "5.0000", "-", "1"],
    ]  # fmt: skip
    assert save_chart(chart, tmp_path, "f").count("LineCollection") == 2


@pytest.mark.parametrize("changes", [(0.01, 1.0, 1e4), (0.0, 1.0, 1e4, 0.5, 0.7)])
def test_logarithmic_axes_are_labelled_in_plain_numbers(
    tmp_path: Path, changes: tuple[float, ...]
) -> None:
    for draw in (perplexity_by_class, perplexity_by_magnitude):
        chart = draw([measured("x", *changes)], "m")
        assert chart is not None
        svg = save_chart(chart, tmp_path, "f")
        assert "mathdefault" not in svg and ">1000<" in svg


def test_figure_6_sets_retraining_behind_the_dense_run_and_marks_the_pruning(
    reported: Path,
) -> None:
    points = read_points(reported.rglob("results.jsonl"))
    chart = training(points, "m", FileFinder([str(reported)]))
    assert chart is not None
    again = "pruned + retrained, class-blind, 80%"
    assert chart.table[1:] == [
        ["dense", "10", "8.000", "-"],
        ["dense", "20", "6.000", "-"],
        ["dense", "30", "4.000", "-"],
        [again, "30", "-", "80.00%"],
        [again, "40", "6.000", "-"],
        [again, "50", "5.000", "-"],
    ]


def test_figure_6_is_left_out_where_no_log_is_there(tmp_path: Path) -> None:
    tiny.add_dense(tmp_path)
    (tmp_path / "points" / "dense" / "train.log").unlink()
    points = read_points(tmp_path.rglob("results.jsonl"))
    assert training(points, "m", FileFinder([str(tmp_path)])) is None
