"""Reports of classifiers, of other dense models, and the one mean and deviation over seeds."""

from pathlib import Path
from typing import Any

import pytest

from fairseq_prune.report.chart import save_chart
from fairseq_prune.report.figures import by_scheme, by_stage
from fairseq_prune.report.points import read_points, spread_of
from fairseq_prune.report.ratio_figures import COMPRESSION, SPEED_UP, by_ratio
from fairseq_prune.report.report import write_report
from fairseq_prune.report.tables import full_table, glance
from tests.report.rows import row, write


def classified(
    stage: str, scheme: str | None, accuracy: float, work: float, seed: str = "1"
) -> dict[str, Any]:
    """A row as classify writes it."""
    made = row(stage, scheme, 0.0 if scheme is None else 0.9, 0.0, sha=seed)
    kept = ("checkpoint", "sha256", "data_digest", "scheme", "saliency", "target", "sparsity")
    own = {name: made[name] for name in (*kept, "recipe")}
    tags = {"model": "m", "stage": stage, "seed": seed}
    scores = {"accuracy": accuracy, "loss": 1.0, "multiply_adds": [40.0, 40 * (1 - work)]}
    said = {"settings": {"subset": "test"}, "command": "fairseq-prune classify m.pt"}
    return {**own, **said, "tags": tags, **scores}


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    return [
        classified("dense", None, 90.0, 0.0),
        classified("dense", None, 91.0, 0.0, "2"),
        classified("pruned", "class-blind", 70.0, 0.5),
        classified("pruned", "class-blind", 72.0, 0.7, "2"),
        classified("retrained", "class-blind", 88.0, 0.5),
    ]


def test_seeds_are_put_together_and_the_score_is_called_accuracy(
    tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    points = read_points([write(tmp_path, *rows)])
    assert glance(points, "m") == [
        ["m: accuracy at % removed", "seeds", "0", "90"],
        ["dense", "2", "90.50 ± 0.71", ""],
        ["pruned, class-blind", "2", "", "71.00 ± 1.41"],
        ["pruned + retrained, class-blind", "1", "", "88.00"],
    ]
    head, _, pruned, _ = full_table(points, apart=True)
    assert dict(zip(head, pruned, strict=True)) == {
        "model": "m", "stage": "pruned", "scheme": "class-blind", "removed": "90.00%",
        "theoretical speed-up": "2.50", "seeds": "2", "accuracy": "71.00", "accuracy sd": "1.41",
        "accuracy median": "71.00", "loss": "1.0000",
        "loss sd": "0.0000",
    }  # fmt: skip


def test_a_figure_shows_it_against_multiply_adds(
    tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    chart = by_ratio(read_points([write(tmp_path, *rows)]), "m", SPEED_UP)
    assert chart is not None
    assert chart.table == [
        ["line", "theoretical speed-up", "accuracy", "sd", "seeds"],
        ["dense", "1.00", "90.50", "0.71", "2"],
        ["pruned, class-blind", "2.50", "71.00", "1.41", "2"],
        ["pruned + retrained, class-blind", "2.00", "88.00", "-", "1"],
    ]


def test_dense_models_of_several_sizes_are_a_line_against_what_is_left(tmp_path: Path) -> None:
    made = [row("dense", None, 0.0, 30.0), row("longer", None, 0.0, 32.0)]
    for name, bleu in (("half", 28.0), ("quarter", 24.0)):
        made.append(row("small", None, 0.0, bleu, sha=name))
        made[-1]["tags"]["name"] = name
    made += [row("pruned", "class-blind", s, b) for s, b in ((0.5, 29.0), (0.75, 3.0))]
    for one, left in zip(made, (800, 800, 400, 200, 440, 200), strict=True):
        one |= {"parameters": 800, "nonzero": left, "multiply_adds": [1600, 2 * left]}
    del made[-1]["nonzero"]  # as an earlier version wrote it
    made[-1] |= {"removed": 600}
    points = read_points([write(tmp_path, *made)])
    for ratio in (COMPRESSION, SPEED_UP):
        chart = by_ratio(points, "m", ratio)
        assert chart is not None
        assert [line[:3] for line in chart.table[1:]] == [
            ["dense", "1.00", "30.00"],
            ["dense, trained on", "1.00", "32.00"],
            ["pruned, class-blind", "1.82", "29.00"],
            ["pruned, class-blind", "4.00", "3.00"],
            ["dense, of several sizes", "1.00", "30.00"],
            ["dense, of several sizes", "2.00", "28.00"],
            ["dense, of several sizes", "4.00", "24.00"],
        ]
    head, *lines = full_table(points)
    assert [line[head.index("compression")] for line in lines[-2:]] == ["1.82", "4.00"]


def test_lines_and_the_dense_model_show_their_spread(
    tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    points = read_points([write(tmp_path, *rows)])
    for chart in (by_scheme(points, "m"), by_ratio(points, "m", SPEED_UP)):
        assert chart is not None and "bands one standard deviation" in chart.caption
        svg = save_chart(chart, tmp_path, chart.name)
        assert ">dense 90.5 ± 0.7 (n=2)<" in svg and "class-blind (n=2)<" in svg
        # the line has one point, and so a bar
        assert svg.count("LineCollection") == 1


def test_a_report_of_classifiers_asks_for_no_translations(
    tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    write(tmp_path, *rows)
    text = write_report([str(tmp_path)], str(tmp_path / "report"), "t", "c")
    page = (tmp_path / "report" / "index.html").read_text()
    for words in ("translations", "BLEU", "fairseq-prune evaluate", "signature"):
        assert words.lower() not in (text + page).lower(), words
    assert (tmp_path / "report" / "m-figure11.png").is_file()


def test_rows_that_count_nothing_have_no_such_figure(tmp_path: Path) -> None:
    points = read_points([write(tmp_path, row("pruned", "class-blind", 0.5, 1.0))])
    for ratio in (COMPRESSION, SPEED_UP):
        assert by_ratio(points, "m", ratio) is None and ratio.shows not in full_table(points)[0]


def test_other_dense_models_are_lines_of_their_own(tmp_path: Path) -> None:
    rows = [
        row("dense", None, 0.0, 30.0),
        row("longer", None, 0.0, 33.0),
        row("small", None, 0.0, 25.0),
        row("retrained", "class-blind", 0.5, 31.0),
    ]
    points = read_points([write(tmp_path, *rows)])
    assert [line[:3] for line in glance(points, "m")[1:]] == [
        ["dense", "1", "30.00"],
        ["dense, trained on", "1", "33.00"],
        ["dense of other settings", "1", "25.00"],
        ["pruned + retrained, class-blind", "1", ""],
    ]
    chart = by_stage(points, "m")
    assert chart is not None
    assert [line[:3] for line in chart.table[1:4]] == [
        ["dense", "0%", "30.00"],
        ["dense, trained on", "0%", "33.00"],
        ["dense of other settings", "0%", "25.00"],
    ]
    assert "The dashed lines are the dense models." in chart.caption


def test_a_spread_is_of_all_seeds_or_none() -> None:
    one, two = spread_of([3.0]), spread_of([3.0, 1.0])
    assert one is not None and (one.mean, one.sd, one.text(1)) == (3.0, None, "3.0")
    assert two is not None and (two.mean, two.median, two.values) == (2.0, 2.0, (1.0, 3.0))
    assert two.sd == pytest.approx(2**0.5) and two.text(2) == "2.00 ± 1.41"
    assert [two.quantile(share) for share in (0, 0.25, 1)] == [1.0, 1.5, 3.0]
    assert spread_of([]) is None and spread_of([1.0, None]) is None
