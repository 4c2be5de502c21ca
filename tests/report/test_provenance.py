"""How numbers were made: signatures and processors under the tables, a note where they differ."""

import csv
from html import escape
from pathlib import Path
from typing import Any

import pytest

from fairseq_prune.report.points import read_points
from fairseq_prune.report.provenance import measured_on, note_processors
from fairseq_prune.report.report import write_report
from tests.report.rows import PROCESSOR, SIGNATURE, row, study, write

OTHER = "Intel Xeon, AVX2"


def rows_on(*processors: str | None) -> list[dict[str, Any]]:
    """A row each, of one pruned place, the seeds apart; None does not say its processor."""
    made = []
    for seed, processor in enumerate(processors):
        one = row("pruned", "class-blind", 0.6, 30.0 + seed, sha=str(seed))
        one["tags"]["seed"] = str(seed)
        one["processor"] = processor
        if processor is None:  # as earlier versions wrote it
            del one["processor"]
        made.append(one)
    return made


def said(folder: Path, *processors: str | None) -> tuple[str, list[str]]:
    points = read_points([write(folder, *rows_on(*processors))])
    return measured_on(points), note_processors(points)


def test_one_processor_is_named_and_needs_no_note(tmp_path: Path) -> None:
    assert said(tmp_path, PROCESSOR, PROCESSOR) == (f"measured on {PROCESSOR}", [])


@pytest.mark.parametrize(
    "processors, line, whence",
    [
        (
            (PROCESSOR, OTHER, PROCESSOR), f"measured on {PROCESSOR} (2 rows); {OTHER} (1 row)",
            f"The rows come from 2 processors: {PROCESSOR} (2 rows); {OTHER} (1 row)",
        ),
        (
            (PROCESSOR, None), f"measured on {PROCESSOR} (1 row); 1 row does not say",
            f"Some rows do not say which processor they come from: {PROCESSOR} (1 row); "
            "1 row does not say",
        ),
        (
            (PROCESSOR, OTHER, None, None),
            f"measured on {PROCESSOR} (1 row); {OTHER} (1 row); 2 rows do not say",
            f"The rows come from 2 processors: {PROCESSOR} (1 row); {OTHER} (1 row); "
            "2 rows do not say",
        ),
        (
            (None, None), "measured on processors that no row names",
            "No row says which processor it comes from (an earlier version wrote them)",
        ),
    ],
)  # fmt: skip
def test_several_processors_or_unknown_ones_are_a_note(
    tmp_path: Path, processors: tuple[str | None, ...], line: str, whence: str
) -> None:
    found, (note,) = said(tmp_path, *processors)
    assert found == line
    assert note == (
        f"{whence}. Sums are taken in another order on another processor: the last bits of a "
        "training differ, and BLEU of heavily pruned models with them (by up to 5 points at 60% "
        "without retraining, measured on the embedded corpus). Across processors only means and "
        "their spread over seeds can be compared."
    )


def test_reports_show_the_processors_in_tables_page_and_text(tmp_path: Path) -> None:
    rows = study()
    rows[1]["processor"] = f"{OTHER} <b>"
    write(tmp_path / "m", *rows)
    out = tmp_path / "report"
    text = write_report([str(tmp_path / "m")], str(out), "t", "c")
    line = f"measured on {PROCESSOR} (9 rows); {OTHER} <b> (1 row)"
    safe = line.replace("<", "&lt;")
    assert f"sacreBLEU {SIGNATURE}\n{line}\nnote: The rows come from 2 processors: " in text
    assert (out / "table.txt").read_text().endswith(f"sacreBLEU {SIGNATURE}\n{line}\n")
    assert (out / "table.md").read_text().endswith(f"sacreBLEU {SIGNATURE}\n{safe}\n")
    page = (out / "index.html").read_text()
    assert f"<br>{escape(line)}<br>sacreBLEU <code>" in page
    assert "<li>The rows come from 2 processors: " in page
    with (out / "points.csv").open() as file:
        assert sorted({r["processor"] for r in csv.DictReader(file)}) == [PROCESSOR, f"{OTHER} <b>"]


def test_the_processor_is_no_part_of_a_measurement(tmp_path: Path) -> None:
    (one,) = rows_on(PROCESSOR)
    notes: list[str] = []
    (point,) = read_points([write(tmp_path, one, one | {"processor": OTHER, "bleu": 28.0})], notes)
    assert (point.score, point.processor) == (28.0, OTHER)
    assert len(notes) == 1 and "is replaced by the later" in notes[0]


def test_seeds_of_one_place_stay_together_across_processors(tmp_path: Path) -> None:
    points = read_points([write(tmp_path, *rows_on(PROCESSOR, OTHER))])
    assert len({p.place for p in points}) == 1
