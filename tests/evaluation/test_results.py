"""Results files: appended to, read back, cut off."""

from pathlib import Path
from typing import Any

import pytest

from fairseq_prune.evaluation import results
from tests.faults.breakdown import full_disk


def row(bleu: float, sha: str = "a", **tags: str) -> dict[str, Any]:
    return {"sha256": sha, "data_digest": "d", "settings": {"beam": 5}, "tags": tags, "bleu": bleu}


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "results.jsonl"
    rows = [row(1.5), row(2.5, sha="b", note="schön\u2028")]
    for one in rows:
        results.append(path, one)
    assert results.read(path) == rows


def test_a_file_that_is_not_there_has_no_rows(tmp_path: Path) -> None:
    assert results.read(tmp_path / "none") == []


def test_of_two_rows_of_one_measurement_the_later_counts(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    results.append(path, row(1.0))
    results.append(path, row(2.0))
    assert [found["bleu"] for found in results.read(path)] == [2.0]


def test_a_tag_makes_another_measurement() -> None:
    assert results.identity(row(1, stage="dense")) != results.identity(row(1, stage="pruned"))


def test_rows_that_name_no_more_sets_are_those_that_say_nothing_of_them(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    results.append(path, row(1.0))
    of_an_earlier_version = {**row(2.0), "settings": {"beam": 5, "also": []}}
    results.append(path, of_an_earlier_version)
    assert results.read(path) == [row(2.0)]


def test_a_cut_last_line_is_left_out_and_does_not_swallow_the_next(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    results.append(path, row(1.0))
    with path.open("a") as file:
        file.write('{"sha256": "b", "ble')
    assert len(results.read(path)) == 1
    results.append(path, row(3.0, sha="c"))
    assert [found["bleu"] for found in results.read(path)] == [1.0, 3.0]


def test_a_row_that_a_full_disk_cuts_is_an_error_and_hinders_nobody(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    results.append(path, row(1.0))
    with full_disk(path.stat().st_size + 30), pytest.raises(OSError, match="results.jsonl"):
        results.append(path, row(2.0, sha="b"))
    notes: list[str] = []
    assert [found["bleu"] for found in results.read(path, notes)] == [1.0]
    assert notes == [f"{path}: line 2 was cut off and is left out."]
    results.append(path, row(2.0, sha="b"))
    assert [found["bleu"] for found in results.read(path)] == [1.0, 2.0]


def test_a_line_of_something_else_is_named(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text('{"bleu": 1}\nnonsense\n{"bleu": 2}\n')
    with pytest.raises(ValueError) as error:
        results.read(path)
    assert str(error.value) == f"{path} is no results file: line 2 is no row of results."
