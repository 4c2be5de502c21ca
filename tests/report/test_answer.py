"""What a report says first, from numbers made by hand and from translations."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fairseq_prune.report.answer import ABOUT, ONE_SEED, Answer, answers, in_markdown, in_text
from fairseq_prune.report.bootstrap import Comparison
from fairseq_prune.report.measures import Measures
from fairseq_prune.report.points import Point, read_points
from fairseq_prune.report.provenance import made_by, size_of
from fairseq_prune.report.report import write_report
from fairseq_prune.report.significance import Comparisons, base_points, limits, verdict
from tests.report.rows import row, study, with_texts, write
from tests.report.test_sized import results

FINE, WORSE = Comparison(88.7, 89.0, 0.3, -0.9, 0.2), Comparison(80.0, 89.0, 0.001, -10.0, -8.0)


def point(stage: str, removed: float, seed: str, scheme: str = "class-blind") -> Point:
    row: dict[str, Any] = {"bleu": 1.0, "sparsity": removed / 100}
    return Point("m", stage, scheme if removed else None, removed, row, seed)


def measured(points: list[Point], found: dict[tuple[str, float], Comparison]) -> Measures:
    """Measures in which places are tested as ``found`` says, by scheme and sparsity."""
    tests = Comparisons(base_points(points, []))
    for p in points:
        if p.scheme and (one := found.get((p.scheme, p.removed))):
            tests.each[p.key] = tests.pooled[p.place] = one
    return Measures(points, {}, tests, {}, limits(points, tests), [], [])


def of_seeds(seeds: str, *stages: str) -> list[Point]:
    points = [point(stage, 0, seed) for stage in stages for seed in seeds]
    for scheme in ("class-blind", "class-uniform"):
        points += [point("retrained", at, seed, scheme) for at in (40, 60, 80) for seed in seeds]
    return points


def test_it_names_scheme_sparsity_interval_seeds_and_what_it_is_tested_against() -> None:
    found = {("class-blind", 40): FINE, ("class-blind", 60): FINE, ("class-blind", 80): WORSE,
             ("class-uniform", 40): FINE, ("class-uniform", 60): WORSE}  # fmt: skip
    (answer,) = answers(measured(of_seeds("123", "dense", "longer"), found))
    assert answer == Answer(
        "m",
        [
            "pruned + retrained: class-blind at 60% is the largest sparsity whose BLEU is not "
            "significantly worse than dense, trained on: -0.30 [-0.90, +0.20], p 0.3000, 3 seeds."
        ],
    )
    assert answer.tested


def test_methods_that_go_as_far_are_named_and_an_open_end_is_said() -> None:
    better = replace(FINE, bleu=89.5, low=-0.1, high=1.1)
    found = {(scheme, at): FINE for scheme in ("class-blind", "class-uniform") for at in (40, 60)}
    found |= {("class-blind", 80): FINE, ("class-uniform", 80): better}
    (answer,) = answers(measured(of_seeds("12", "dense", "longer"), found))
    (sentence,) = answer.sentences
    assert "class-uniform at 80% is the largest" in sentence
    assert "+0.50 [-0.10, +1.10], p 0.3000, 2 seeds; so is class-blind: -0.30" in sentence
    assert sentence.endswith("Nothing larger was tested.")


def test_where_all_is_worse_it_says_what_loses_least() -> None:
    found = {("class-blind", 40): WORSE, ("class-uniform", 40): replace(WORSE, bleu=85.0)}
    (answer,) = answers(measured(of_seeds("12", "dense", "longer"), found))
    assert answer.sentences == [
        "pruned + retrained: all that was tested, from 40%, is significantly worse than dense, "
        "trained on. class-uniform at 40% loses least: -4.00 [-10.00, -8.00], p 0.0010, 2 seeds."
    ]


def test_without_a_control_of_the_same_training_there_is_no_answer_yet() -> None:
    (answer,) = answers(measured(of_seeds("12", "dense"), {("class-blind", 40): FINE}))
    (sentence,) = answer.sentences
    assert sentence.startswith("pruned + retrained: no answer yet, for no dense model was trained")
    assert "(the stage longer)" in sentence and "not significantly worse than dense: " in sentence
    assert not answer.caveat


def test_one_seed_is_no_answer_for_another_training() -> None:
    (answer,) = answers(measured(of_seeds("1", "dense", "longer"), {("class-blind", 40): FINE}))
    assert answer.caveat == ONE_SEED and "1 seed." in answer.sentences[0]


@pytest.mark.parametrize(
    "points, why",
    [
        ([point("dense", 0, "1")], "nothing of it is pruned"),
        ([point("pruned", 40, "1")], "there is no dense model to compare with"),
        ([point("dense", 0, "1"), point("pruned", 40, "1")], "nothing could be tested"),
    ],
)
def test_what_is_missing_is_named(points: list[Point], why: str) -> None:
    (answer,) = answers(measured(points, {}))
    assert answer.sentences[0].startswith(f"No answer: {why}") and not answer.tested


def test_a_dense_model_of_as_few_weights_is_compared(tmp_path: Path) -> None:
    from fairseq_prune.report.measures import measure

    (answer,) = answers(measure(read_points([results(tmp_path, ("1", "2"))])))
    last = answer.sentences[-1]
    assert last.startswith("pruned + retrained, class-blind, 80%: better than a dense model of as ")
    assert "few weights (dense of other settings), by +" in last


def test_a_test_says_its_direction() -> None:
    assert verdict(WORSE, 0.01, "dense") == "worse than dense"
    assert verdict(WORSE, 0.2, "dense") == "worse than dense, not by the corrected p"
    assert verdict(replace(WORSE, bleu=95.0), 0.01, "dense") == "better than dense"
    assert verdict(FINE, 0.9, "dense") == "no difference to dense shown"
    assert verdict(replace(WORSE, bleu=89.0), 0.01, "dense") == "no difference to dense shown"


def test_the_folder_begins_with_it_too(tmp_path: Path) -> None:
    said = write_report(
        [str(with_texts(tmp_path / "m", ("1", "2")))], str(tmp_path / "r"), "t", "c"
    )
    text, markdown, page = (
        (tmp_path / "r" / name).read_text() for name in ("table.txt", "table.md", "index.html")
    )
    assert said.startswith("m: how much can be pruned\n- ") and text.startswith(said[:200])
    assert markdown.startswith("**m: how much can be pruned**\n\n- ")
    assert ABOUT[:40] in text and ABOUT[:40] in markdown and ABOUT[:40] in page
    assert page.index('id="answer"') < page.index("<nav") < page.index('id="model-1"')


def test_words_are_wrapped_and_no_name_makes_a_tag() -> None:
    answer = Answer("<b>", ["word " * 40])
    assert max(map(len, in_text([answer]).splitlines())) <= 100
    assert "<" not in in_markdown([answer])


def test_page_facts_are_those_of_the_rows(tmp_path: Path) -> None:
    from datetime import date

    from fairseq_prune import __version__

    rows = [one | {"parameters": 12000, "prunable": 0, "version": "0.0.9"} for one in study()]
    rows[1]["prunable"] = 11000
    points = read_points([write(tmp_path, *rows)])
    assert made_by(points, date(2026, 1, 2)) == (
        f"made on 2026-01-02 by fairseq_prune {__version__}, from results of version 0.0.9"
    )
    assert size_of(points, "m") == "12,000 parameters, of which 11,000 can be pruned"
    assert size_of(read_points([write(tmp_path / "n", row("dense", None, 0, 1.0))]), "m") == ""
