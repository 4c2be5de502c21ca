"""Recipes: what goes together, what is refused, and in which words."""

from collections.abc import Iterable
from typing import Any

import pytest

from fairseq_prune.maths.schedule import SCHEDULES
from fairseq_prune.maths.schemes import ALLOCATIONS
from fairseq_prune.pruning.checks import checked
from fairseq_prune.pruning.recipe import Recipe, differences
from fairseq_prune.saliency import every_name


def either(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}"


REFUSALS: list[tuple[dict[str, Any], str]] = [
    (
        {"scheme": "erk", "seed": 1 << 32},
        "--prune-seed 4294967296 must be a whole number from 0 to 4294967295.",
    ),
    (
        {"mask_from": "a.pt", "seed": -1},
        "--prune-seed -1 must be a whole number from 0 to 4294967295.",
    ),
    (
        {"scheme": "class-blnd"},
        f"--prune-scheme 'class-blnd' is unknown; choose {either(ALLOCATIONS)}.",
    ),
    (
        {"scheme": "erk", "saliency": "size"},
        f"--prune-saliency 'size' is unknown; choose {either(every_name())}.",
    ),
    (
        {"scheme": "erk", "schedule": "cubic"},
        f"--prune-schedule 'cubic' is unknown; choose {either(SCHEDULES)}.",
    ),
    (
        {"scheme": "erk", "sparsity": 1.0},
        "--prune-sparsity 1.0 is outside [0, 1): it is the fraction of weights to remove, e.g. 0.8 "
        "for 80%.",
    ),
    (
        {"scheme": "erk", "sparsity": float("nan")},
        "--prune-sparsity nan is outside [0, 1): it is the fraction of weights to remove, e.g. 0.8 "
        "for 80%.",
    ),
    (
        {"sparsity": 0.5},
        "--prune-sparsity has no effect without --prune-scheme (class-blind, class-distribution, "
        "class-uniform, erk, given) or --prune-mask-from FILE.",
    ),
    (
        {"mask_from": "a.pt", "sparsity": 0.5},
        "--prune-sparsity has no effect with --prune-mask-from alone; add --prune-scheme to prune "
        "further than the file's masks.",
    ),
    (
        {"scheme": "erk", "end": 5},
        "--prune-end has no effect with --prune-schedule one-shot; it is for gradual, "
        "gradual-linear, gradual-exponential, gradual-threshold, set or rigl.",
    ),
    (
        {"scheme": "erk", "schedule": "gradual"},
        "--prune-schedule gradual needs --prune-end, the update at which the sparsity is reached "
        "(while the learning rate is still high).",
    ),
    (
        {"scheme": "erk", "schedule": "gradual", "start": 5, "end": 5},
        "--prune-end 5 must come after --prune-start 5.",
    ),
    (
        {"scheme": "erk", "start": -1},
        "--prune-start -1 must be a number of updates, 0 or more.",
    ),
    (
        {"scheme": "erk", "schedule": "gradual", "end": 5, "every": 0},
        "--prune-every 0 must be a number of updates, 1 or more.",
    ),
    (
        {"scheme": "erk", "structure": "unit"},
        "--prune-structure 'unit' is unknown; choose weight, row, block:RxC (such as block:4x4), "
        "N:M (such as 2:4), ffn, heads, hidden, embedding, layers, or several of these: "
        "ffn+heads.",
    ),
    (
        {"scheme": "class-uniform", "structure": "ffn+rows"},
        "--prune-structure 'ffn+rows' is unknown; choose weight, row, block:RxC (such as "
        "block:4x4), N:M (such as 2:4), ffn, heads, hidden, embedding, layers, or several of "
        "these: ffn+heads.",
    ),
    (
        {"scheme": "class-uniform", "saliency": "gate"},
        "--prune-saliency gate scores units; give --prune-structure ffn, heads, hidden, "
        "embedding or layers, or choose another saliency.",
    ),
    (
        {"scheme": "class-uniform", "structure": "ffn", "saliency": "taylor", "pool": "max"},
        "--prune-pool max has no effect with --prune-saliency taylor, which scores units as they "
        "are; leave it out.",
    ),
    (
        {"scheme": "erk", "structure": "heads"},
        "--prune-scheme erk spends by the shape of matrices, not of heads; use class-blind, "
        "class-uniform or class-distribution.",
    ),
    (
        {"scheme": "class-blind", "structure": "ffn", "schedule": "set", "end": 9},
        "--prune-schedule set moves single weights, not ffn; leave --prune-structure out, or use "
        "static.",
    ),
    (
        {"scheme": "class-blind", "pool": "max"},
        "--prune-pool max has no effect with --prune-structure weight; it is for row, "
        "block:RxC and units.",
    ),
    (
        {"scheme": "class-blind", "structure": "row", "pool": "median"},
        "--prune-pool 'median' is unknown; choose mean, max, sum or norm.",
    ),
    (
        {"scheme": "erk", "structure": "row"},
        "--prune-scheme erk spends by the shape of matrices, not of row; use class-blind, "
        "class-uniform or class-distribution.",
    ),
    (
        {"scheme": "class-blind", "structure": "2:4"},
        "--prune-structure 2:4 keeps 2 of every 4 weights everywhere, so that --prune-scheme "
        "class-blind has nothing to decide; use class-uniform.",
    ),
    (
        {"scheme": "class-uniform", "structure": "2:4", "sparsity": 0.8},
        "--prune-sparsity 0.8 contradicts --prune-structure 2:4, which removes 0.5; leave it out.",
    ),
    (
        {"scheme": "class-uniform", "structure": "2:4", "schedule": "gradual", "end": 9},
        "--prune-schedule gradual has no steps to take with --prune-structure 2:4; use one-shot.",
    ),
    (
        {"scheme": "erk", "drop": 0.3},
        "--prune-drop has no effect with --prune-schedule one-shot; it is for set or rigl.",
    ),
    (
        {"scheme": "erk", "schedule": "gradual", "end": 9, "ramp": 4},
        "--prune-ramp has no effect with --prune-schedule gradual; it is for gradual-threshold.",
    ),
    (
        {"scheme": "class-blind", "schedule": "gradual-threshold", "end": 9, "ramp": 12},
        "--prune-ramp 12 must lie between --prune-start 0 and --prune-end 9.",
    ),
    (
        {"scheme": "erk", "schedule": "rigl"},
        "--prune-schedule rigl needs --prune-end, the update after which nothing is exchanged "
        "(three quarters of the run is usual).",
    ),
    (
        {"scheme": "erk", "schedule": "set", "end": 9, "drop": 1.0},
        "--prune-drop 1.0 is outside (0, 1): it is the fraction of the surviving weights that the "
        "first exchange moves, e.g. 0.3.",
    ),
    (
        {"scheme": "class-blind", "schedule": "rigl", "end": 9, "structure": "block:4x4"},
        "--prune-schedule rigl moves single weights, not block:4x4; leave --prune-structure out, "
        "or use static.",
    ),
    (
        {"scheme": "erk", "schedule": "static", "start": 5},
        "--prune-start 5 contradicts --prune-schedule static, which prunes before the first "
        "update; leave it out, or use one-shot.",
    ),
    (
        {"scheme": "class-blind", "ratios": "magnitude"},
        "--prune-ratios magnitude has no effect with --prune-saliency magnitude; give another "
        "saliency, such as random, to choose the weights inside each tensor.",
    ),
    (
        {"scheme": "erk", "saliency": "random", "ratios": "snip"},
        "--prune-ratios snip has no effect with --prune-scheme erk, which looks at shapes only; "
        "use class-blind, class-uniform or class-distribution without a pattern.",
    ),
    (
        {"scheme": "given"},
        "--prune-scheme given needs --prune-given FILE, a sparsity for each weight class.",
    ),
    (
        {"scheme": "erk", "given": "* 0.5"},
        "--prune-given has no effect with --prune-scheme erk; use given.",
    ),
    (
        {"scheme": "given", "given": "* 0.5", "sparsity": 0.5},
        "--prune-sparsity 0.5 has no place beside --prune-given, which says how much to remove of "
        "each class; leave it out.",
    ),
    (
        {"scheme": "given", "given": "nowhere.txt"},
        "--prune-given nowhere.txt is not a file; give one with a line `CLASS SPARSITY` for each "
        "weight class, such as fairseq-prune sensitivity --proposal writes.",
    ),
    (
        {"scheme": "class-blind", "saliency": "synflow", "score_batches": 8},
        "--prune-score-batches has no effect with --prune-saliency synflow, which needs no data; "
        "those that do: snip, taylor, grasp, obd, obd-hutchinson, wanda.",
    ),
]


@pytest.mark.parametrize(("flags", "sentence"), REFUSALS, ids=[s[:40] for _, s in REFUSALS])
def test_it_is_refused_in_one_sentence(flags: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as refusal:
        checked(Recipe(**flags))
    assert str(refusal.value) == sentence


def test_no_flags_is_no_pruning() -> None:
    assert not checked(Recipe()).active


def test_the_scheme_alone_removes_eighty_per_cent_at_once_by_magnitude() -> None:
    recipe = checked(Recipe(scheme="class-distribution"))
    assert recipe.resolved.sparsity == 0.8
    assert recipe.resolved.saliency == "magnitude"
    assert recipe.timetable().due(0)
    assert recipe.signature() == "class-distribution|sparsity:0.8|saliency:magnitude"


def test_settings_give_the_recipe_back() -> None:
    recipe = checked(Recipe(scheme="erk", schedule="gradual", end=9, exclude="softmax, attention"))
    again = checked(Recipe.from_settings(recipe.settings))
    assert again.settings == recipe.settings
    assert differences(again.settings, recipe.settings) == []
    assert again.excluded == ("softmax", "attention")


def test_differences_name_the_flag_and_both_values() -> None:
    here, there = Recipe(scheme="erk", sparsity=0.5), Recipe(scheme="erk", sparsity=0.6)
    assert differences(here.settings, there.settings) == ["--prune-sparsity 0.5 (in the file: 0.6)"]


def test_where_masks_came_from_is_no_difference() -> None:
    assert differences(Recipe(mask_from="a").settings, Recipe(mask_from="b").settings) == []
    assert differences(Recipe(mask_from="a").settings, Recipe(scheme="erk").settings) != []


def test_a_signature_tells_schedules_apart() -> None:
    shots = checked(Recipe(scheme="erk", saliency="random", schedule="rigl", end=90))
    assert shots.signature() == "erk|sparsity:0.8|saliency:random|schedule:rigl|end:90"
    assert shots.needs == {"data"} and shots.settings["score_batches"] == 8
    other = checked(Recipe(scheme="class-blind", saliency="random", ratios="synflow"))
    assert other.signature() == "class-blind|sparsity:0.8|saliency:random|ratios:synflow"
    assert other.needs == {"network"}
