"""Per-class sparsities: read, stored, refused, and what they remove."""

from pathlib import Path
from typing import Any

import pytest
import torch

from fairseq_prune.maths.select import round_count
from fairseq_prune.network.weights import Weight
from fairseq_prune.pruning.bound import bound
from fairseq_prune.pruning.checks import checked
from fairseq_prune.pruning.pruner import Pruner
from fairseq_prune.pruning.recipe import Recipe, differences
from fairseq_prune.pruning.shares import one_line, read_shares
from fairseq_prune.pruning.summary import by_class
from fairseq_prune.saliency import Probe

CLASSES = {"a": "x", "b": "x", "c": "y", "d": "z"}


@pytest.fixture
def weights() -> dict[str, Weight]:
    draw = torch.Generator().manual_seed(1)
    return {
        name: Weight(name, torch.randn(7, 9, generator=draw) * k, label, (name,))
        for k, (name, label) in enumerate(CLASSES.items(), 1)
    }


def given(text: str, **more: Any) -> Recipe:
    return checked(Recipe(scheme="given", given=text, **more))


def removed(recipe: Recipe, weights: dict[str, Weight]) -> dict[str, int]:
    recipe = bound(recipe, weights, None)
    pruned = Pruner(recipe).update(recipe.resolved.sparsity, Probe(weights))
    return {row.name: row.removed for row in by_class(pruned.masks, CLASSES)}


def test_a_file_is_read_once_and_is_the_same_recipe_in_any_order(tmp_path: Path) -> None:
    file, other = tmp_path / "given", tmp_path / "other"
    file.write_text("# a plan\n\nx 0.5   # half\n* 0.25\ny\t0.125\n")
    other.write_text("y 0.125\nx 0.50\n* 2.5e-1\n")
    recipe, again = given(str(file)), given(str(other))
    file.unlink()
    assert recipe.given == "x 0.5; y 0.125; * 0.25"
    assert recipe.shares == {"x": 0.5, "y": 0.125, "*": 0.25}
    assert differences(recipe.settings, again.settings) == []
    assert checked(Recipe.from_settings(recipe.settings)).settings == recipe.settings
    assert "given:x 0.5; y 0.125; * 0.25" in recipe.signature()


def test_the_classes_that_a_file_is_of_are_obeyed(tmp_path: Path) -> None:
    file, rules, same = tmp_path / "given", tmp_path / "rules", tmp_path / "same"
    file.write_text("# a plan\n# --prune-classes component\nx 0.5\n* 0.25\n")
    assert given(str(file)).classes == "component"
    assert given(str(file), classes="component").classes == "component"
    assert checked(Recipe.from_settings(given(str(file)).settings)).classes == "component"
    with pytest.raises(ValueError) as caught:
        given(str(file), classes="layer")
    assert str(caught.value) == (
        f"--prune-classes layer contradicts --prune-given {file}, whose sparsities are of the "
        "classes of --prune-classes component: leave --prune-classes out, or propose anew with it."
    )
    rules.write_text("a b\n")
    same.symlink_to(rules)
    file.write_text(f"# --prune-classes {rules}\nx 0.5\n")
    assert given(str(file), classes=str(same)).classes == str(rules)
    file.write_text("x 0.5\n")  # of an earlier version
    assert given(str(file)).classes is None
    assert given(str(file), classes="layer").classes == "layer"


def test_one_line_gives_the_shares_back_to_the_last_bit() -> None:
    shares = {"b": 1 / 3, "a": 0.1 + 0.2, "*": 5e-324, "m.0": 0.0}
    assert read_shares(one_line(shares)) == shares


@pytest.mark.parametrize(
    "line",
    ["x", "x half", "x 1.0", "x -0.1", "x nan", "x 0.5 0.6", "x 80%"],
)
def test_a_line_that_is_none_is_named(line: str, tmp_path: Path) -> None:
    file = tmp_path / "given"
    file.write_text(f"# plan\n{line}\n")
    with pytest.raises(ValueError) as refusal:
        given(str(file))
    assert str(refusal.value) == (
        f"{file} line 2: {line!r} is not `CLASS SPARSITY` with a sparsity in [0, 1)."
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x 0.5\nx 0.5\n", "{file} line 2: x has a sparsity already."),
        ("# nothing\n", "{file} names no class: write one `CLASS SPARSITY` a line."),
    ],
)
def test_a_file_that_is_none_is_refused(text: str, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "given"
    file.write_text(text)
    with pytest.raises(ValueError) as refusal:
        given(str(file))
    assert str(refusal.value) == sentence.format(file=file)


def test_classes_that_are_not_there_or_not_named_are_listed(weights: dict[str, Weight]) -> None:
    with pytest.raises(ValueError) as refusal:
        bound(given("x 0.5; v 0.1; w 0.1; * 0.2"), weights, None)
    assert str(refusal.value) == (
        "--prune-given names v, w, which are no class that is pruned here; those are: x, y, z."
    )
    with pytest.raises(ValueError) as refusal:
        bound(given("x 0.5"), weights, None)
    assert str(refusal.value) == (
        "--prune-given names no sparsity for y, z; add a line for each, or `* SPARSITY` for all "
        "others."
    )


def test_each_class_loses_its_own_share(weights: dict[str, Weight]) -> None:
    gone = removed(given("x 0.5; y 0.0; z 0.9"), weights)
    assert gone == {"x": round_count(0.5, 126), "y": 0, "z": round_count(0.9, 63)}


def test_rows_are_counted_as_rows(weights: dict[str, Weight]) -> None:
    gone = removed(given("x 0.5; y 0.0; z 0.9", structure="row"), weights)
    assert gone == {"x": 9 * round_count(0.5, 14), "y": 0, "z": 9 * round_count(0.9, 7)}


def test_the_shares_of_blind_give_the_masks_of_blind(weights: dict[str, Weight]) -> None:
    blind = Pruner(Recipe(scheme="class-blind")).update(0.7, Probe(weights)).masks
    rows = by_class(blind, CLASSES)
    recipe = bound(given(one_line({row.name: row.sparsity for row in rows})), weights, None)
    assert recipe.resolved.sparsity == blind.sparsity()
    found = Pruner(recipe).update(recipe.resolved.sparsity, Probe(weights)).masks
    assert found.digest() == blind.digest()


def test_a_schedule_rises_in_proportion_and_ends_at_the_shares(weights: dict[str, Weight]) -> None:
    flags: dict[str, Any] = {"schedule": "gradual-linear", "end": 4, "every": 1}
    recipe = bound(given("x 0.5; y 0.0; z 0.9", **flags), weights, None)
    timetable, probe = recipe.timetable(), Probe(weights)
    seen = []
    for step in range(5):
        masks = Pruner(recipe).update(timetable.sparsity(step), probe).masks
        seen.append({row.name: row.removed for row in by_class(masks, CLASSES)})
        probe = Probe(weights, masks)
    assert seen[4] == {"x": 63, "y": 0, "z": round_count(0.9, 63)}
    assert seen[0] == {"x": 0, "y": 0, "z": 0}
    for step, gone in enumerate(seen):
        assert abs(gone["x"] - 63 * step / 4) <= 1 and gone["y"] == 0
