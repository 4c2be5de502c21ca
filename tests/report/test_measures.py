"""A report's numbers on a small study, and on what is left of it when files are missing."""

import csv
import re
import statistics
from pathlib import Path

import pytest

from fairseq_prune.cli.main import main
from fairseq_prune.evaluation import results
from fairseq_prune.evaluation.sentences import Sentence
from fairseq_prune.report.by_sentence import chosen, example
from fairseq_prune.report.measure_tables import (
    comparison_table,
    fault_table,
    length_table,
    limit_table,
    sections_of,
)
from fairseq_prune.report.measures import measure
from fairseq_prune.report.points import read_points, spread_of
from fairseq_prune.report.report import write_report
from tests.report.rows import add_texts, row, study, with_texts, write

HEADINGS = [
    "How far each method goes",
    "Significance",
    "Degenerate outputs",
    "Long sentences and rare words",
    "What changed most: m, pruned + retrained, class-blind, 90%",
]


def report(folder: Path, output: Path) -> str:
    """The page; the command's output goes to the folder too."""
    write_report([str(folder)], str(output), "t", "c")
    return (output / "index.html").read_text()


def test_a_study_has_every_part(tmp_path: Path) -> None:
    numbers = measure(read_points([with_texts(tmp_path, ("1", "2"))]))
    assert numbers.notes == []
    parts = sections_of(numbers)
    assert [part.heading for part in parts] == [
        *HEADINGS[:-1],
        f"{HEADINGS[-1]}, seed 1 of 2 seeds",
    ]
    # of 20% no seed is worse alone, both together are, but no more once p is corrected
    limits = {row[1]: row[5:11:5] for row in parts[0].tables[0][1:]}
    assert limits == {"pruned": ["-", "50"], "pruned + retrained": ["50", "90"]}
    assert {row[4] for row in parts[1].tables[0][1:]} == {"2"}  # seeds
    assert {row[-4] for row in parts[1].tables[0][1:]} == {"0 of 2", "2 of 2"}
    assert [column.label for column in chosen(numbers, "m")] == [
        "dense", "pruned, class-blind, 50%",
        "pruned + retrained, class-blind, 50%", "pruned + retrained, class-blind, 90%",
    ]  # fmt: skip
    found = example(numbers, "m")
    assert found is not None and len(found.changes) == 10


def test_tables_have_the_spread_over_seeds(tmp_path: Path) -> None:
    with_texts(tmp_path, seeds=("1", "2"))
    numbers = measure(read_points([tmp_path / "results.jsonl"]))
    pruned = [p for p in numbers.points if (p.stage, p.removed) == ("pruned", 50)]
    tested = [numbers.tests.each[p.key] for p in pruned]
    lost = [c.difference for c in tested]
    bleu = spread_of([c.bleu for c in tested])
    assert bleu is not None and bleu.sd
    row = next(row for row in comparison_table(numbers)[1:] if row[1:4:2] == ["pruned", "50"])
    assert row[4:8] == [
        "2", bleu.text(2), "worse than dense",
        f"{statistics.fmean(lost):+.2f} ± {statistics.stdev(lost):.2f}"
    ]  # fmt: skip
    empty = spread_of([100 * numbers.faults[p.key].long for p in pruned])
    row = next(row for row in fault_table(numbers)[1:] if row[1:4:2] == ["pruned", "50"])
    assert empty is not None and row[8] == empty.text(1)
    assert all(" ± " in row[11] for row in limit_table(numbers)[1:])  # of the first that is worse
    assert all(" ± " in cell for row in length_table(numbers, "m")[1:] for cell in row[2:])


def test_the_folder_has_the_tables_for_people_and_for_programs(tmp_path: Path) -> None:
    with_texts(tmp_path / "m")
    output = tmp_path / "report"
    page = report(tmp_path / "m", output)
    assert re.findall("<h2.*?>(.*?)</h2>", page)[: 3 + len(HEADINGS)] == [
        "Answer", "m", *HEADINGS, "Every number"
    ]  # fmt: skip
    with (output / "significance.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["significantly worse"] for row in rows] == ["false", "true", "true"] + [
        "false", "false", "true"
    ]  # fmt: skip
    assert 0 < float(rows[0]["p"]) <= 1
    with (output / "points.csv").open() as file:
        assert [row["seed"] for row in csv.DictReader(file)] == ["1"] * 7
    assert (output / "numbers.md").read_text().startswith("## How far")
    assert (output / "examples.md").read_text().count("\n| ") == 12


def test_a_sentence_cannot_inject_markup(tmp_path: Path) -> None:
    evil = "<script>alert('&amp;')</script>"
    test = [Sentence(evil, f"{evil} {n}", 1, n) for n in range(8)]
    lines = [s.reference for s in test]
    path = tmp_path / "m" / "results.jsonl"
    add_texts(path, row("dense", None, 0.0, 0.0), lines, test)
    add_texts(path, row("pruned", "class-blind", 0.5, 0.0), [evil + " |"] * 8, test)
    page = report(tmp_path / "m", tmp_path / "report")
    assert "&lt;script&gt;alert(&#x27;&amp;amp;&#x27;)" in page
    assert "<script" not in page
    assert "<script" not in (tmp_path / "report" / "examples.md").read_text()


def test_results_without_texts_say_so_and_have_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "m", *study())
    assert main(["report", str(tmp_path / "m"), "--output", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "note: Rows without translations on disk: " in said
    assert " and 7 more; what needs them is left out.\n" in said
    page = (tmp_path / "out" / "index.html").read_text()
    headings = re.findall("<h2.*?>(.*?)</h2>", page)
    assert headings == ["Answer", "m", "Every number", "What is missing"]
    assert "<li>Rows without translations on disk" in page
    assert not (tmp_path / "out" / "numbers.md").exists()


def notes_after(tmp_path: Path, file: str, content: bytes | None) -> list[str]:
    """The notes when a file of the study is replaced; what is tested must stay tested."""
    with_texts(tmp_path)
    path = next(tmp_path.glob(file))
    path.unlink() if content is None else path.write_bytes(content)
    numbers = measure(read_points([tmp_path / "results.jsonl"], []))
    assert len(numbers.points) == 7
    return [note.replace(str(tmp_path), "DIR") for note in numbers.notes]


HYPOTHESES = "hypotheses/pruned-class-blind.pt-0.2-1.txt"


@pytest.mark.parametrize(
    "file, content, what",
    [
        (HYPOTHESES, None, "Rows without translations on disk"),
        (HYPOTHESES, b"cut", "Translations that were cut off"),
        (HYPOTHESES, b"one\n", "Translations with another number of lines than the test set"),
        (HYPOTHESES, b"\xff\n", "Translations that are no text"),
    ],
)
def test_translations_that_are_missing_or_cut_are_named(
    tmp_path: Path, file: str, content: bytes | None, what: str
) -> None:
    assert notes_after(tmp_path, file, content) == [
        f"{what}: DIR/{HYPOTHESES}; what needs them is left out."
    ]


def test_a_cut_test_set_is_named(tmp_path: Path) -> None:
    first, second = notes_after(tmp_path, "sentences/*", b'{"source": ')
    assert first.startswith("Test sets that cannot be read: DIR/sentences/")
    assert second.startswith("No source and reference beside results")


def test_a_cut_test_set_is_replaced_by_another_points_copy(tmp_path: Path) -> None:
    for name in "ab":
        with_texts(tmp_path / name, seeds=(name,))
    next((tmp_path / "a" / "sentences").iterdir()).write_text("{")
    points = read_points(sorted(tmp_path.rglob("results.jsonl")), [])
    numbers = measure(points)
    assert len(numbers.tests.each) == 12 and len(numbers.notes) == 1


def test_translations_that_were_overwritten_are_found_out(tmp_path: Path) -> None:
    with_texts(tmp_path)
    folder = tmp_path / "hypotheses"
    (folder / "pruned-class-blind.pt-0.5-1.txt").write_bytes((tmp_path / HYPOTHESES).read_bytes())
    numbers = measure(read_points([tmp_path / "results.jsonl"]))
    assert numbers.notes == [
        f"The translations of 1 rows do not give their BLEU, {folder}/pruned-class-blind.pt-0.5-1"
        ".txt first: they are left out, and so are the tests with them."
    ]
    assert len(numbers.tests.each) == 5


def test_a_half_written_folder_says_what_is_missing(tmp_path: Path) -> None:
    good = with_texts(tmp_path / "good")
    with good.open("a") as file:
        file.write('{"sha256": "cut')
    for name, content in (("empty", b""), ("broken", b"\0\0\0\n"), ("binary", b"\xff\xfe")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.jsonl").write_bytes(content)
    for sparsity in (0.5, 0.6):  # the same fault is said once
        odd = row("thawed", "class-blind", sparsity, 1.0)
        results.append(tmp_path / "odd" / "results.jsonl", odd)
    text = write_report([str(tmp_path)], str(tmp_path / "report"), "t", "c")
    notes = [line.removeprefix("note: ") for line in text.splitlines() if "note: " in line]
    places = [note.replace(str(tmp_path) + "/", "") for note in notes]
    assert places[:-1] == [
        "binary/results.jsonl is no results file: it is no text.",
        "broken/results.jsonl is no results file: line 1 is no row of results.",
        "empty/results.jsonl holds no results yet.",
        "good/results.jsonl: line 8 was cut off and is left out.",
        "odd/results.jsonl has a row of thawed-class-blind.pt with the stage 'thawed'; it must be "
        "dense or longer or small or pruned or retrained or scratch or fresh or ticket.",
        "2 rows are left out.",
    ]
    assert places[-1].startswith("Checkpoints that are not there")


def test_a_folder_of_broken_files_only_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "results.jsonl"
    broken.write_text("nonsense\n")
    assert main(["report", str(tmp_path), "--output", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == (
        f"fairseq-prune: {broken} is no results file: line 1 is no row of results.\n"
    )
