"""fairseq-prune verify: what it finds, and what it lets pass."""

import json
import math

import pytest
import torch

from fairseq_prune.checkpoints.record import Record
from fairseq_prune.checkpoints.storage import prune_state
from fairseq_prune.network.weights import of_state_dict
from fairseq_prune.pruning.pruner import Pruner
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.saliency import Probe
from tests.cli.models import (
    DECODER_EMBEDDING,
    EMBEDDING,
    FC,
    NAMES,
    PRUNABLE,
    QUERY,
    SHAPES,
    SOFTMAX,
    checkpoint,
    masks_in,
    read,
    write,
)


@pytest.fixture
def change(pruned, tmp_path):
    """Writes the pruned checkpoint with a change; gives the new file's path."""

    def run(edit) -> str:
        content = read(pruned)
        edit(content)
        return write(tmp_path / "changed.pt", content)

    return run


@pytest.fixture
def gone(pruned):
    """By name, the index of the last pruned weight."""
    masks = masks_in(pruned)
    return {name: tuple(int(i) for i in (~masks[name]).nonzero()[-1]) for name in NAMES}


def test_a_pruned_file_is_fine(pruned, call):
    code, out, err = call("verify", pruned)
    assert (code, err) == (0, "")
    assert out == (
        f"{pruned}: ok; model checked; 172 of 344 weights removed (50.00%); "
        f"masks {masks_in(pruned).digest()[:12]}\n"
    )


def test_a_pattern_beside_what_was_pruned_before_takes_more_than_its_share(pruned, call, tmp_path):
    output = tmp_path / "pattern.pt"
    pattern = ("--prune-scheme", "class-uniform", "--prune-structure", "2:4")
    assert call("apply", pruned, "--output", output, *pattern)[0] == 0
    assert sum(map(masks_in(output).removed, NAMES)) > PRUNABLE // 2
    assert call("verify", output)[0] == 0


@pytest.mark.parametrize("value", [0.25, -1e-30, math.nan, math.inf])
@pytest.mark.parametrize("name", NAMES)
def test_a_planted_weight_is_named(name, value, change, gone, call):
    def plant(content):
        content["model"][name][gone[name]] = value

    path = change(plant)
    code, out, _ = call("verify", path)
    assert code == 1
    shown = f"{torch.tensor(value).item():g}"
    assert out.splitlines()[1] == f"  model: {name}{list(gone[name])} is {shown}, but pruned"


def test_minus_zero_is_zero(change, gone, call):
    def plant(content):
        content["model"][FC][gone[FC]] = -0.0

    assert call("verify", change(plant))[0] == 0


def test_several_planted_weights_are_counted_and_the_first_is_named(change, pruned, call):
    mask = masks_in(pruned)[FC]

    def plant(content):
        content["model"][FC][~mask] = 2.0

    code, out, _ = call("verify", change(plant))
    first = [int(i) for i in (~mask).nonzero()[0]]
    assert code == 1
    assert out.splitlines()[1] == (
        f"  model: {FC}{first} is 2, but pruned ({int((~mask).sum())} such values in this tensor)"
    )


@pytest.mark.parametrize("alias", [EMBEDDING, DECODER_EMBEDDING, SOFTMAX])
def test_a_weight_grown_back_under_one_name_of_a_tied_tensor_is_found(alias, change, gone, call):
    def plant(content):
        apart = content["model"][alias].clone()
        apart[gone[EMBEDDING]] = 0.5
        content["model"][alias] = apart

    code, out, _ = call("verify", change(plant))
    index = list(gone[EMBEDDING])
    assert code == 1
    assert out.splitlines()[1:] == [f"  model: {alias}{index} is 0.5, but pruned"]


@pytest.mark.parametrize("key, place", [("ema", "EMA"), ("ema_fp32_params", "EMA (fp32)")])
def test_a_value_in_an_average_is_named(key, place, change, gone, call):
    def plant(content):
        average = {name: value.clone() for name, value in content["model"].items()}
        average[SOFTMAX][gone[EMBEDDING]] = 3.0
        content["extra_state"][key] = average

    code, out, _ = call("verify", change(plant))
    assert code == 1
    assert f"; model, {place} checked; " in out
    index = list(gone[EMBEDDING])
    assert out.splitlines()[1:] == [f"  {place}: {SOFTMAX}{index} is 3, but pruned"]


PARAMETERS = [["encoder.bias", 8], *([name, math.prod(SHAPES[name])] for name in NAMES)]
START = {name: 8 + sum(size for _, size in PARAMETERS[1 : 1 + i]) for i, name in enumerate(NAMES)}


def with_moments(content, moments):
    """Gives the checkpoint an optimizer state, numbered as PARAMETERS; one more at the end."""
    numbers = list(range(1 if len(moments) == 1 else len(PARAMETERS) + 1))
    state = {"state": moments, "param_groups": [{"params": numbers}]}
    content["last_optimizer_state"] = state
    prune_state(content)["parameters"] = PARAMETERS


def separate(index=None, name=FC):
    moments = {0: {"exp_avg": torch.ones(8)}}
    for number, other in enumerate(NAMES, start=1):
        zeros = {key: torch.zeros(SHAPES[other]) for key in ("exp_avg", "exp_avg_sq")}
        moments[number] = {"step": 3, **zeros}
        if other == name and index is not None:
            moments[number]["exp_avg_sq"][index] = 0.125
    return moments


def test_moments_of_zero_are_fine(change, call):
    code, out, _ = call("verify", change(lambda content: with_moments(content, separate())))
    assert code == 0
    assert "; model, optimizer checked; " in out


@pytest.mark.parametrize("name", NAMES)
def test_a_planted_moment_is_named(name, change, gone, call):
    moments = separate(gone[name], name)
    code, out, _ = call("verify", change(lambda content: with_moments(content, moments)))
    index = list(gone[name])
    assert code == 1
    assert out.splitlines()[1:] == [f"  optimizer exp_avg_sq: {name}{index} is 0.125, but pruned"]


@pytest.mark.parametrize("name", NAMES)
def test_a_planted_moment_in_a_flat_state_is_named(name, change, gone, call):
    flat = torch.zeros(sum(size for _, size in PARAMETERS) + 5)  # and a criterion's parameters
    row, column = gone[name]
    flat[START[name] + row * 8 + column] = 0.5
    moments = {0: {"step": torch.tensor(3.0), "exp_avg": flat}}
    code, out, _ = call("verify", change(lambda content: with_moments(content, moments)))
    assert code == 1
    assert out.splitlines()[1:] == [
        f"  optimizer exp_avg: {name}{[row, column]} is 0.5, but pruned"
    ]


def test_factored_moments_are_not_of_single_weights(change, call):
    moments = {
        n: {"exp_avg_sq_row": torch.ones(16), "exp_avg_sq_col": torch.ones(8)} for n in range(4)
    }
    assert call("verify", change(lambda content: with_moments(content, moments)))[0] == 0


def test_a_state_of_unknown_layout_is_noted(change, call):
    def plant(content):
        content["last_optimizer_state"] = {"decoder": {}, "encoder": {}}

    code, out, _ = call("verify", change(plant))
    assert code == 0
    assert "optimizer's state is laid out in an unknown way: not checked" in out


def test_a_count_that_is_off_by_one_is_found(change, call):
    def plant(content):
        prune_state(content)["config"]["sparsity"] = 173 / 344

    code, out, _ = call("verify", change(plant))
    assert code == 1
    assert out.splitlines()[1] == (
        "  172 of 344 prunable weights are removed, but sparsity 0.502907 is 173"
    )


def test_class_uniform_counts_in_each_class(dense, tmp_path, call):
    out = tmp_path / "uniform.pt"
    call("apply", dense, "--output", out, "--prune-scheme", "class-uniform")
    assert call("verify", out)[0] == 0
    content = read(out)
    prune_state(content)["config"]["scheme"] = "class-blind"
    assert call("verify", write(tmp_path / "blind.pt", content))[0] == 0
    content = read(out)
    classes = prune_state(content)["classes"]
    classes.update({QUERY: "one", FC: "one"})
    assert call("verify", write(tmp_path / "coarse.pt", content))[0] == 1


@pytest.mark.parametrize("scheme", ["class-blind", "class-uniform", "class-distribution", "erk"])
def test_a_file_pruned_twice_is_fine(scheme, pruned, tmp_path, call):
    out = tmp_path / "twice.pt"
    flags = ("--prune-scheme", scheme, "--prune-sparsity", "0.55")
    assert call("apply", pruned, "--output", out, *flags)[0] == 0
    assert call("verify", out)[:3:2] == (0, "")


def gradual(acted: int) -> dict:
    """A checkpoint of a gradual run (0.8 from update 0 to 10) that has pruned at ``acted``."""
    content = checkpoint()
    recipe = Recipe(scheme="class-blind", schedule="gradual", end=10, every=1)
    weights = of_state_dict(content["model"])
    sparsity = recipe.timetable().sparsity(acted)
    masks = Pruner(recipe).update(sparsity, Probe(weights, None, 1)).masks
    for name, mask in masks.items():
        content["model"][name].masked_fill_(~mask, 0.0)
    classes = {name: w.weight_class for name, w in weights.items()}
    record = Record(recipe=recipe, masks=masks, acted=acted, classes=classes)
    content["task_state"]["prune"] = record.pack()
    return content


def test_a_gradual_run_in_the_middle_is_not_finished(tmp_path, call):
    path = write(tmp_path / "five.pt", gradual(5))
    code, out, _ = call("verify", path)
    assert code == 1
    assert f"{path}: UNFINISHED; model checked; 241 of 344 weights removed (70.06%)" in out
    assert (
        "\n  unfinished: at update 5 of 10 the schedule asks for 0.7000, at its end for 0.8\n"
    ) in out


def test_a_gradual_run_in_the_middle_with_a_wrong_count_is_found(tmp_path, call):
    content = gradual(5)
    prune_state(content)["acted"] = 6
    code, out, _ = call("verify", write(tmp_path / "six.pt", content))
    assert code == 1
    assert (
        "WRONG" in out
        and "241 of 344 prunable weights are removed, but sparsity 0.7488 is 258" in out
    )


def test_a_gradual_run_at_its_end_has_its_sparsity(tmp_path, call):
    code, out, _ = call("verify", write(tmp_path / "ten.pt", gradual(10)))
    assert code == 0
    assert f"{round(0.8 * PRUNABLE)} of {PRUNABLE} weights" in out
    assert "schedule" not in out


def test_a_run_that_has_not_pruned_yet_is_not_finished(tmp_path, call):
    content = gradual(5)
    prune_state(content).update(masks=None, acted=None)
    code, out, _ = call("verify", write(tmp_path / "early.pt", content))
    assert code == 1
    assert "UNFINISHED" in out
    assert "unfinished: nothing is pruned yet: the schedule has not begun" in out
    code, out, _ = call("verify", tmp_path / "early.pt", "--expect", "0.8")
    assert code == 1 and "nothing is removed, not 0.8" in out


@pytest.mark.parametrize("expected", ["0.5", "0.499", "0.501", "0", "0.8"])
def test_what_is_expected_is_what_is_removed(expected, pruned, call):
    """172 of 344; half a weight is 0.0015 of them."""
    code, out, _ = call("verify", pruned, "--expect", expected)
    right = expected in ("0.5", "0.499", "0.501")
    assert code == (0 if right else 1)
    sentence = (
        f"172 of 344 prunable weights are removed (0.5000), not the {float(expected):g} expected"
    )
    assert (sentence in out) is not right


def test_of_units_what_is_expected_is_their_share(dense, tmp_path, call):
    path = tmp_path / "blocks.pt"
    flags = ("--prune-scheme", "class-blind", "--prune-structure", "block:4x4")
    assert call("apply", dense, "--output", path, *flags, "--prune-sparsity", "0.5")[0] == 0
    assert call("verify", path, "--expect", "0.5")[0] == 0
    code, out, _ = call("verify", path, "--expect", "0.6")
    assert code == 1 and "tiles (block:4x4) are removed (0." in out


def test_what_is_expected_of_given_masks_is_a_share_of_weights(pruned, dense, tmp_path, call):
    path = tmp_path / "given.pt"
    assert call("apply", dense, "--output", path, "--prune-mask-from", pruned)[0] == 0
    assert call("verify", path, "--expect", "0.5")[0] == 0
    assert call("verify", path, "--expect", "0.52")[0] == 1


def test_a_share_that_is_none_is_refused(pruned, call):
    code, out, err = call("verify", pruned, "--expect", "80")
    assert (code, out) == (2, "")
    assert err == (
        "fairseq-prune: --expect 80 is outside [0, 1): it is the fraction removed, e.g. 0.8 for "
        "80%.\n"
    )


def test_masks_that_were_changed_do_not_fit_their_digest(change, call):
    def plant(content):
        prune_state(content)["masks"]["bits"][FC][0] ^= 1

    path = change(plant)
    code, out, _ = call("verify", path)
    assert code == 1
    assert f"  The masks in {path} are damaged: their digest does not match.\n" in out


def test_a_dense_file_has_nothing_to_verify(dense, call):
    code, out, err = call("verify", dense)
    assert (code, out) == (2, "")
    assert err == (
        f"fairseq-prune: {dense} holds no masks: it was never pruned, or all that was pruned is "
        "cut out by shrink, or it was trained further without --user-dir fairseq_prune, which "
        "drops them; compare it with --masks-from PRUNED.\n"
    )


def test_a_file_trained_on_without_the_plugin_is_found_by_the_masks_it_had(change, pruned, call):
    def resume(content):
        del content["task_state"]["prune"]
        for name in NAMES:
            content["model"][name] += 0.01

    path = change(resume)
    code, out, _ = call("verify", path, "--masks-from", pruned)
    assert code == 1
    for name in NAMES:
        assert f"  model: {name}[" in out


def test_all_files_are_checked_and_the_worst_decides(pruned, dense, change, gone, ask, call):
    def plant(content):
        content["model"][FC][gone[FC]] = 1.0

    wrong = change(plant)
    code, out, err = call("verify", pruned, wrong)
    assert (code, err) == (1, "")
    assert f"{pruned}: ok" in out and f"{wrong}: WRONG" in out
    assert call("verify", dense, wrong, pruned)[0] == 2


def test_json_names_the_violation(pruned, change, gone, call):
    def plant(content):
        content["model"][FC][gone[FC]] = math.nan

    path = change(plant)
    code, out, _ = call("verify", path, "--json")
    found = json.loads(out)
    assert (code, found["ok"], found["unusable"]) == (1, False, {})
    (one,) = found["checkpoints"]
    assert one["violations"] == [
        {"place": "model", "name": FC, "index": list(gone[FC]), "value": None, "count": 1}
    ]


def test_json_of_a_fine_file(pruned, ask):
    found = ask("verify", pruned)
    assert found["ok"] is True
    assert found["checkpoints"][0]["removed"] == PRUNABLE // 2
