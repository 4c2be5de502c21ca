"""Results rows become points: model, stage, scheme and what is removed."""

from pathlib import Path

import pytest

from fairseq_prune.evaluation import results
from fairseq_prune.files.text import file_name
from fairseq_prune.report.points import (
    dense_of,
    find_results,
    models_of,
    read_points,
    schemes_of,
    select,
)
from tests.report.rows import row, write


def test_random_saliency_is_a_scheme_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path, row("pruned", "class-blind", 0.8, 9.0, saliency="random"))
    (point,) = read_points([path])
    assert (point.scheme, point.removed) == ("random", 80)


def test_points_are_sorted_by_stage_scheme_and_sparsity(tmp_path: Path) -> None:
    rows = [
        row("retrained", "class-blind", 0.4, 3),
        row("pruned", "class-uniform", 0.4, 2),
        row("pruned", "class-blind", 0.9, 1),
        row("pruned", "class-blind", 0.4, 4),
        row("dense", None, 0.0, 5),
    ]
    points = read_points([write(tmp_path, *rows)])
    assert [p.score for p in points] == [5, 4, 1, 2, 3]
    assert schemes_of(points) == ["class-blind", "class-uniform"]
    assert [p.score for p in select(points, "m", "pruned", "class-blind")] == [4, 1]
    dense = dense_of(points, "m")
    assert dense is not None and dense.score == 5


def test_a_checkpoint_without_a_recipe_is_what_its_tag_says_and_has_lost_nothing(
    tmp_path: Path,
) -> None:
    (point,) = read_points([write(tmp_path, row("pruned", None, 0.0, 5))])
    assert (point.stage, point.scheme, point.removed) == ("pruned", "no recipe", 0)


def test_a_model_that_was_trained_anew_replaces_the_old_one(tmp_path: Path) -> None:
    rows = [row("pruned", "class-blind", 0.8, 1, sha="old"), row("pruned", "class-blind", 0.8, 2)]
    assert [p.score for p in read_points([write(tmp_path, *rows)])] == [2]


def test_without_a_tag_the_model_has_its_folders_name(tmp_path: Path) -> None:
    found = row("dense", None, 0.0, 1)
    del found["tags"]["model"]
    assert models_of(read_points([write(tmp_path / "lstm", found)])) == ["lstm"]


def test_folders_are_searched_and_files_taken_as_they_are(tmp_path: Path) -> None:
    first = write(tmp_path / "a" / "b", row("dense", None, 0.0, 1))
    other = tmp_path / "other.jsonl"
    results.append(other, row("dense", None, 0.0, 1))
    assert find_results([str(tmp_path), str(other)]) == [first, other]


def test_an_empty_folder_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError) as error:
        find_results([str(tmp_path)])
    assert str(error.value) == (
        f"{tmp_path} holds no results.jsonl; give the --output of fairseq-prune evaluate."
    )


def test_an_unknown_stage_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, row("thawed", "class-blind", 0.5, 1))
    with pytest.raises(ValueError, match="stage 'thawed'; it must be dense or longer"):
        read_points([path])


@pytest.mark.parametrize("text, name", [("lstm", "lstm"), ("../a b", "..-a-b"), ("/", "model")])
def test_a_models_name_cannot_leave_the_folder(text: str, name: str) -> None:
    assert file_name(text) == name


def test_seeds_of_one_place_are_points_of_their_own(tmp_path: Path) -> None:
    rows = [row("pruned", "class-blind", 0.8, bleu) for bleu in (1, 2)]
    for seed, one in enumerate(rows, 1):
        one["tags"]["seed"] = str(seed)
        one["sha256"] += str(seed)
    first, second = read_points([write(tmp_path, *rows)])
    assert (first.seed, second.seed) == ("1", "2")
    assert first.place == second.place and first.key != second.key


def test_a_data_set_is_part_of_the_models_name(tmp_path: Path) -> None:
    found = row("dense", None, 0.0, 1)
    found["tags"]["data"] = "multi30k"
    assert models_of(read_points([write(tmp_path, found)])) == ["m, multi30k"]


@pytest.mark.parametrize(
    "saliency, more, method",
    [
        ("magnitude", {}, "class-uniform"),
        ("random", {}, "random, class-uniform"),
        ("snip", {}, "snip, class-uniform"),
        ("magnitude", {"structure": "ffn", "schedule": "gradual"}, "class-uniform, ffn, gradual"),
    ],
)
def test_a_method_names_what_is_not_usual(
    tmp_path: Path, saliency: str, more: dict[str, str], method: str
) -> None:
    found = row("pruned", "class-uniform", 0.8, 9.0, saliency=saliency) | more
    (point,) = read_points([write(tmp_path, found)])
    assert point.scheme == method
