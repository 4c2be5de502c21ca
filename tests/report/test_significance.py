"""Who is compared with whom, what is kept, and how far a method can go."""

from pathlib import Path

import pytest

from fairseq_prune.report import significance
from fairseq_prune.report.bootstrap import Comparison
from fairseq_prune.report.measures import measure
from fairseq_prune.report.points import Point, read_points
from fairseq_prune.report.significance import dense_points, limits
from tests.report.rows import with_texts


def point(stage: str, removed: float, seed: str = "1", model: str = "m") -> Point:
    scheme = None if stage == "dense" else "class-blind"
    return Point(model, stage, scheme, removed, {"bleu": 1.0, "sparsity": 0.0}, seed)


WORSE, FINE, SAME = Comparison(1, 9, 0.01), Comparison(8, 9, 0.3), Comparison(9, 9, 0.001)


def limit_of(line: dict[float, Comparison | None]) -> tuple[float | None, float | None]:
    points, found = [], {}
    for removed, comparison in line.items():
        points.append(point("pruned", removed))
        if comparison:
            found[points[-1].place] = comparison
    (limit,) = limits(points, found)
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


def test_what_was_not_tested_does_not_count() -> None:
    assert limit_of({20: FINE, 40: None, 60: WORSE}) == (20, 60)


def test_a_point_belongs_to_the_dense_model_of_its_seed() -> None:
    points = [point("dense", 0, "1"), point("dense", 0, "2"), point("dense", 0, "", "other")]
    points += [point("pruned", 50, "2"), point("pruned", 50, "7", "other"),
               point("pruned", 50, "3")]  # fmt: skip
    found = dense_points(points)
    assert found == {points[3].key: points[1], points[4].key: points[2]}


def test_a_pair_is_compared_once_in_a_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = read_points([with_texts(tmp_path)])
    first = measure(points)
    assert len(first.comparisons) == 6
    cache = tmp_path / significance.CACHE
    written = cache.read_bytes()

    def never(*_: object) -> None:
        raise AssertionError("compared again")

    with monkeypatch.context() as patch:
        patch.setattr("fairseq_prune.report.bootstrap.Bootstrap", never)
        assert measure(points).comparisons == first.comparisons
    # a cut line costs its own pair only
    cache.write_bytes(written[:-10])
    assert measure(points).comparisons == first.comparisons
    assert len(cache.read_text().splitlines()) == 7


def test_another_translation_or_reference_is_another_pair(tmp_path: Path) -> None:
    with_texts(tmp_path)
    points = read_points([tmp_path / "results.jsonl"])
    before = measure(points)
    (sentences,) = (tmp_path / "sentences").iterdir()
    sentences.write_text(sentences.read_text().replace("green", "blue"))
    after = measure(points)
    assert any("do not give their BLEU" in note for note in after.notes)
    assert before.comparisons and not after.comparisons


def test_a_folder_that_cannot_be_written_to_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = read_points([with_texts(tmp_path)])

    def full(*_: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr("fairseq_prune.evaluation.results.append", full)
    numbers = measure(points)
    assert len(numbers.comparisons) == 6
    assert numbers.notes == [
        f"{tmp_path} cannot be written to: the tests are made anew for each report."
    ]
