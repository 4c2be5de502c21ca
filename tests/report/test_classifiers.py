"""Reports of classifiers, of other dense models, and the one mean and deviation over seeds."""

from pathlib import Path
from typing import Any

import pytest

from fairseq_prune.report.chart import save_chart
from fairseq_prune.report.figures import by_scheme, by_stage, by_work
from fairseq_prune.report.points import read_points, spread_of
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
    scores = {"accuracy": accuracy, "loss": 1.0, "flop_sparsity": work}
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
        ["m: accuracy at % removed", "0", "90"],
        ["dense", "90.50 ± 0.71 (n=2)", ""],
        ["pruned, class-blind", "", "71.00 ± 1.41 (n=2)"],
        ["pruned + retrained, class-blind", "", "88.00"],
    ]
    head, _, pruned, _ = full_table(points, apart=True)
    assert dict(zip(head, pruned, strict=True)) == {
        "model": "m", "stage": "pruned", "scheme": "class-blind", "removed": "90.00%",
        "multiply-adds": "60.00%", "seeds": "2", "accuracy": "71.00", "accuracy sd": "1.41",
        "accuracy median": "71.00", "loss": "1.0000",
        "loss sd": "0.0000",
    }  # fmt: skip


def test_a_figure_shows_it_against_multiply_adds(
    tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    chart = by_work(read_points([write(tmp_path, *rows)]), "m")
    assert chart is not None
    assert chart.table == [
        ["line", "multiply-adds removed", "accuracy", "sd", "seeds"],
        ["dense", "0.00%", "90.50", "0.71", "2"],
        ["pruned, class-blind", "60.00%", "71.00", "1.41", "2"],
        ["pruned + retrained, class-blind", "50.00%", "88.00", "-", "1"],
    ]


def test_lines_and_the_dense_model_show_their_spread(
    tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    points = read_points([write(tmp_path, *rows)])
    for chart in (by_scheme(points, "m"), by_work(points, "m")):
        assert chart is not None and "bands one standard deviation" in chart.caption
        svg = save_chart(chart, tmp_path, chart.name)
        assert ">dense 90.5 (n=2)<" in svg and "class-blind (n=2)<" in svg
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


def test_rows_of_translations_count_no_multiply_adds(tmp_path: Path) -> None:
    points = read_points([write(tmp_path, row("pruned", "class-blind", 0.5, 1.0))])
    assert by_work(points, "m") is None and "multiply-adds" not in full_table(points)[0]


def test_other_dense_models_are_lines_of_their_own(tmp_path: Path) -> None:
    rows = [
        row("dense", None, 0.0, 30.0),
        row("longer", None, 0.0, 33.0),
        row("small", None, 0.0, 25.0),
        row("retrained", "class-blind", 0.5, 31.0),
    ]
    points = read_points([write(tmp_path, *rows)])
    assert [line[:2] for line in glance(points, "m")[1:]] == [
        ["dense", "30.00"],
        ["dense, trained on", "33.00"],
        ["dense of other settings", "25.00"],
        ["pruned + retrained, class-blind", ""],
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
