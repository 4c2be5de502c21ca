"""Who is compared with whom, what is kept, and how far a method can go."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from fairseq_prune.report import significance
from fairseq_prune.report.bootstrap import Comparison
from fairseq_prune.report.measures import measure
from fairseq_prune.report.points import Point, read_points
from fairseq_prune.report.significance import Comparisons, base_points, dense_points, holm, limits
from tests.report.rows import with_texts


def point(stage: str, removed: float, seed: str = "1", model: str = "m") -> Point:
    scheme = "class-blind" if removed else None
    return Point(model, stage, scheme, removed, {"bleu": 1.0, "sparsity": 0.0}, seed)


def found(bleu: float, base: float, p: float) -> Comparison:
    return Comparison(bleu, base, p, bleu - base - 1, bleu - base + 1)


WORSE, MAYBE, FINE, SAME = (
    found(1, 9, 0.001), found(7, 9, 0.04), found(8, 9, 0.3), found(9, 9, 0.001)
)  # fmt: skip


def limit_of(line: dict[float, Comparison | None]) -> tuple[float | None, float | None]:
    points, tests = [], Comparisons({})
    for removed, comparison in line.items():
        points.append(point("pruned", removed))
        if comparison:
            tests.pooled[points[-1].place] = comparison
    (limit,) = limits(points, tests)
    return (
        limit.harmless and limit.harmless[3], limit.first_worse and limit.first_worse[3]
    )  # fmt: skip


def test_the_limit_is_the_last_before_the_first_that_is_worse() -> None:
    assert limit_of({80: WORSE, 20: FINE, 40: SAME}) == (40, 80)
    # luck after a loss does not count
    assert limit_of({20: FINE, 40: WORSE, 60: FINE}) == (20, 40)


def test_a_method_may_be_worse_from_the_start_or_never() -> None:
    assert limit_of({20: WORSE, 40: WORSE}) == (None, 20)
    assert limit_of({20: FINE, 40: FINE}) == (40, None)


def test_what_is_worse_only_before_the_correction_is_neither() -> None:
    # 0.04 among three tests is 0.08 at best: not proven worse, and not called harmless
    assert limit_of({20: FINE, 40: MAYBE, 60: WORSE}) == (20, 60)
    assert limit_of({20: FINE, 40: MAYBE}) == (20, None)


def test_holm_is_that_of_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03]) == [0.03, 0.06, 0.06]
    assert holm([0.005, 0.011, 0.02, 0.04, 0.13]) == pytest.approx(
        [0.025, 0.044, 0.06, 0.08, 0.13]
    )  # fmt: skip
    assert holm([]) == [] and holm([0.2]) == [0.2]
    draw = random.Random(1)
    for count in (2, 5, 40):
        p = [draw.random() ** 3 for _ in range(count)]
        fixed = holm(p)
        # never below its p, never above Bonferroni's, in the same order
        assert all(a <= b <= min(1, count * a) for a, b in zip(p, fixed, strict=True))
        assert sorted(fixed) == [b for _, b in sorted(zip(p, fixed, strict=True))]


def test_what_was_retrained_is_tested_against_what_was_trained_as_long() -> None:
    dense, longer = point("dense", 0), point("longer", 0)
    pruned, retrained = point("pruned", 50), point("retrained", 50)
    notes: list[str] = []
    bases = base_points([dense, longer, pruned, retrained], notes)
    assert bases == {pruned.key: dense, longer.key: dense, retrained.key: longer} and not notes
    assert base_points([dense, pruned, retrained], notes)[retrained.key] == dense and not notes
    # the seeds of a place are tested against the same
    more = [point(stage, removed, "2") for stage, removed in (("dense", 0), ("retrained", 50))]
    bases = base_points([dense, longer, retrained, *more], notes)
    assert bases[retrained.key] == dense and bases[more[1].key] == more[0]
    (note,) = notes
    assert note.startswith("m has none or several dense models that were trained on for seed 2: ")
    # two of them, of which no tag says which is the one
    both = [
        replace(longer, row={**longer.row, "tags": {"name": name}}, scheme=f"name={name}")
        for name in "ab"
    ]
    several: list[str] = []
    assert base_points([dense, *both, retrained], several)[retrained.key] == dense
    assert len(several) == 1


def test_what_was_not_tested_does_not_count() -> None:
    assert limit_of({20: FINE, 40: None, 60: WORSE}) == (20, 60)


def test_a_point_belongs_to_the_dense_model_of_its_seed() -> None:
    points = [point("dense", 0, "1"), point("dense", 0, "2"), point("dense", 0, "", "other")]
    points += [point("pruned", 50, "2"), point("pruned", 50, "7", "other"),
               point("pruned", 50, "3")]  # fmt: skip
    assert dense_points(points) == {points[3].key: points[1], points[4].key: points[2]}


def test_a_pair_is_compared_once_in_a_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = read_points([with_texts(tmp_path)])
    first = measure(points)
    assert len(first.tests.each) == 6
    cache = tmp_path / significance.CACHE
    written = cache.read_bytes()

    def never(*_: object) -> None:
        raise AssertionError("compared again")

    with monkeypatch.context() as patch:
        patch.setattr("fairseq_prune.report.bootstrap.Bootstrap", never)
        assert measure(points).tests.each == first.tests.each
    # a cut line costs its own pair only
    cache.write_bytes(written[:-10])
    assert measure(points).tests.each == first.tests.each
    assert len(cache.read_text().splitlines()) == 7


def test_another_translation_or_reference_is_another_pair(tmp_path: Path) -> None:
    with_texts(tmp_path)
    points = read_points([tmp_path / "results.jsonl"])
    before = measure(points)
    (sentences,) = (tmp_path / "sentences").iterdir()
    sentences.write_text(sentences.read_text().replace("green", "blue"))
    after = measure(points)
    assert any("do not give their BLEU" in note for note in after.notes)
    assert before.tests.each and not after.tests.each


def test_a_folder_that_cannot_be_written_to_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = read_points([with_texts(tmp_path)])

    def full(*_: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr("fairseq_prune.evaluation.results.append", full)
    numbers = measure(points)
    assert len(numbers.tests.each) == 6
    assert numbers.notes == [
        f"{tmp_path} cannot be written to: the tests are made anew for each report."
    ]
