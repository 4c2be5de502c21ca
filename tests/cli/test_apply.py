"""fairseq-prune apply: what it writes."""

import collections
from pathlib import Path

import pytest
import torch

from fairseq_prune.checkpoints.storage import prune_state
from fairseq_prune.cli._output import in_units
from fairseq_prune.network.weights import of_state_dict
from fairseq_prune.pruning.pruner import Pruner
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.saliency import Probe
from tests.cli.conftest import BLIND_HALF
from tests.cli.models import (
    DECODER_EMBEDDING,
    EMBEDDING,
    FC,
    NAMES,
    PRUNABLE,
    QUERY,
    SHADOW,
    SOFTMAX,
    checkpoint,
    masks_in,
    read,
    write,
)

SCHEMES = ("class-blind", "class-distribution", "class-uniform", "erk")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("saliency", ["magnitude", "random"])
def test_masks_are_those_of_the_pruner(scheme, saliency, dense, tmp_path, call):
    flags = ("--prune-scheme", scheme, "--prune-saliency", saliency, "--prune-seed", 7)
    code, _, err = call("apply", dense, "--output", tmp_path / "out.pt", *flags)
    assert (code, err) == (0, "")
    recipe = Recipe(scheme=scheme, saliency=saliency, seed=7)
    weights = of_state_dict(read(dense)["model"])
    expected = Pruner(recipe).update(0.8, Probe(weights, None, 7)).masks
    assert masks_in(tmp_path / "out.pt").digest() == expected.digest()


def test_removed_weights_are_plus_zero_and_kept_ones_untouched(dense, pruned):
    before, after = read(dense)["model"], read(pruned)["model"]
    for name, mask in masks_in(pruned).items():
        assert torch.equal(after[name].view(torch.int32)[~mask], torch.zeros(1).int().expand(
            int((~mask).sum())))  # fmt: skip
        assert torch.equal(after[name][mask], before[name][mask])


def test_the_count_is_exact(pruned):
    masks = masks_in(pruned)
    assert sum(map(masks.prunable, masks)) == PRUNABLE
    assert sum(map(masks.removed, masks)) == PRUNABLE // 2


def test_what_is_not_prunable_stays_and_shadow_copies_become_zero(dense, pruned):
    before, after = read(dense)["model"], read(pruned)["model"]
    assert list(before) == list(after) and isinstance(after, collections.OrderedDict)
    tied = (DECODER_EMBEDDING, SOFTMAX)
    for name in set(before) - set(NAMES) - set(tied) - {SHADOW}:
        assert torch.equal(before[name], after[name])
    assert torch.equal(after[SHADOW], torch.zeros(24, 8))


def test_the_pad_row_stays(dense, pruned):
    assert torch.equal(read(dense)["model"][EMBEDDING][1], read(pruned)["model"][EMBEDDING][1])


def test_everything_else_stays_but_the_optimizer_state(dense, pruned):
    before, after = read(dense), read(pruned)
    assert set(before) - set(after) == {"last_optimizer_state"}
    for key in ("args", "cfg", "criterion", "optimizer_history", "extra_state"):
        assert after[key] == before[key]
    assert after["task_state"]["src_dict"] == "kept"


def test_the_record_has_recipe_command_and_classes(pruned):
    record = prune_state(read(pruned))
    assert record["config"] == Recipe(scheme="class-blind", sparsity=0.5).settings
    assert record["signature"] == "class-blind|sparsity:0.5|saliency:magnitude"
    assert record["acted"] == 0 and record["parameters"] == []
    assert list(record["classes"]) == list(NAMES)


@pytest.mark.parametrize("apart", [False, True])
def test_tied_tensors_are_one_in_the_output_also_if_the_file_had_lost_the_tie(
    apart, tmp_path, call
):
    path = write(tmp_path / "in.pt", checkpoint(apart=apart))
    call("apply", path, "--output", tmp_path / "out.pt", *BLIND_HALF)
    state = read(tmp_path / "out.pt")["model"]
    assert len({state[name].data_ptr() for name in (EMBEDDING, DECODER_EMBEDDING, SOFTMAX)}) == 1
    assert list(masks_in(tmp_path / "out.pt")) == list(NAMES)


def test_a_tie_lost_in_the_file_prunes_the_same(pruned, tmp_path, call):
    path = write(tmp_path / "in.pt", checkpoint(apart=True))
    call("apply", path, "--output", tmp_path / "out.pt", *BLIND_HALF)
    assert masks_in(tmp_path / "out.pt").digest() == masks_in(pruned).digest()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types_keep_their_type(dtype, tmp_path, call):
    path = write(tmp_path / "in.pt", checkpoint(dtype=dtype))
    assert call("apply", path, "--output", tmp_path / "out.pt", *BLIND_HALF)[0] == 0
    state, masks = read(tmp_path / "out.pt")["model"], masks_in(tmp_path / "out.pt")
    assert state[FC].dtype == dtype
    assert torch.count_nonzero(state[FC][~masks[FC]]) == 0
    assert sum(map(masks.removed, masks)) == PRUNABLE // 2


def test_averages_are_zeroed_under_every_name_and_keep_their_own_values(tmp_path, call):
    content = checkpoint(dtype=torch.float16)
    content["extra_state"]["ema"] = checkpoint(seed=2, dtype=torch.float16)["model"]
    wide = {name: value.float() for name, value in content["extra_state"]["ema"].items()}
    content["extra_state"]["ema_fp32_params"] = wide
    path = write(tmp_path / "in.pt", content)
    call("apply", path, "--output", tmp_path / "out.pt", *BLIND_HALF)
    extra, masks = read(tmp_path / "out.pt")["extra_state"], masks_in(tmp_path / "out.pt")
    for key in ("ema", "ema_fp32_params"):
        for alias in (EMBEDDING, DECODER_EMBEDDING, SOFTMAX):
            mask, before = masks[EMBEDDING], content["extra_state"][key][alias]
            assert torch.count_nonzero(extra[key][alias][~mask]) == 0
            assert torch.equal(extra[key][alias][mask], before[mask])


def test_memory_shared_with_removed_weights_is_not_written(tmp_path, call):
    content = checkpoint()
    whole = torch.randn(100_000)  # as cuDNN keeps an LSTM's parameters
    content["model"]["encoder.lstm.weight_ih_l0"] = whole[:99_968].view(-1, 8)
    content["model"]["encoder.lstm.bias_ih_l0"] = whole[99_968:]
    path = write(tmp_path / "in.pt", content)
    call("apply", path, "--output", tmp_path / "out.pt", *BLIND_HALF)
    bias = read(tmp_path / "out.pt")["model"]["encoder.lstm.bias_ih_l0"]
    assert torch.equal(bias, whole[99_968:])
    assert bias.untyped_storage().nbytes() == 32 * 4


def test_masks_only_shrink(pruned, tmp_path, call):
    flags = ("--prune-scheme", "class-uniform", "--prune-saliency", "random")
    assert call("apply", pruned, "--output", tmp_path / "more.pt", *flags)[0] == 0
    before, after = masks_in(pruned), masks_in(tmp_path / "more.pt")
    assert not any(bool((after[name] & ~before[name]).any()) for name in NAMES)
    assert after.sparsity() > before.sparsity()


def test_the_largest_removed_of_two_prunings_is_of_both(pruned, dense, tmp_path, ask):
    first = ask("inspect", pruned)
    both = ask(
        "apply", pruned, "--output", tmp_path / "more.pt", "--prune-scheme", "class-blind",
    )  # fmt: skip
    at_once = ask("apply", dense, "--dry-run", "--prune-scheme", "class-blind")
    assert both["digest"] == at_once["digest"]
    assert both["classes"] == at_once["classes"]
    assert first["classes"] != both["classes"]


def test_values_under_existing_masks_become_zero_whatever_they_are(pruned, tmp_path, call):
    content = read(pruned)
    gone = ~masks_in(pruned)[FC]
    content["model"][FC][gone] = float("nan")
    path = write(tmp_path / "in.pt", content)
    flags = ("--prune-scheme", "class-blind", "--prune-sparsity", "0.6")
    assert call("apply", path, "--output", tmp_path / "out.pt", *flags)[0] == 0
    assert torch.count_nonzero(read(tmp_path / "out.pt")["model"][FC][gone]) == 0


def test_masks_of_another_checkpoint_are_taken(pruned, tmp_path, call):
    other = write(tmp_path / "other.pt", checkpoint(seed=5))
    flags = ("--prune-mask-from", pruned)
    assert call("apply", other, "--output", tmp_path / "out.pt", *flags)[0] == 0
    assert masks_in(tmp_path / "out.pt").digest() == masks_in(pruned).digest()
    assert call("verify", tmp_path / "out.pt")[0] == 0


def test_masks_of_another_checkpoint_and_a_scheme_prune_further(pruned, tmp_path, call):
    other = write(tmp_path / "other.pt", checkpoint(seed=5))
    flags = ("--prune-mask-from", pruned, "--prune-scheme", "class-blind")
    assert call("apply", other, "--output", tmp_path / "out.pt", *flags)[0] == 0
    given, after = masks_in(pruned), masks_in(tmp_path / "out.pt")
    assert not any(bool((after[name] & ~given[name]).any()) for name in NAMES)
    assert sum(map(after.removed, after)) == round(0.8 * PRUNABLE)


def test_excluded_classes_stay_dense(dense, tmp_path, ask):
    found = ask(
        "apply", dense, "--output", tmp_path / "out.pt", *BLIND_HALF,
        "--prune-exclude", "shared-embedding",
    )  # fmt: skip
    assert [weight["name"] for weight in found["weights"]] == [QUERY, FC]
    after, before = read(tmp_path / "out.pt")["model"], read(dense)["model"]
    assert torch.equal(after[EMBEDDING], before[EMBEDDING])
    assert ask("inspect", tmp_path / "out.pt")["uncovered"] == [EMBEDDING]


def test_sparsity_zero_changes_no_weight(dense, tmp_path, call):
    flags = ("--prune-scheme", "erk", "--prune-sparsity", "0")
    call("apply", dense, "--output", tmp_path / "out.pt", *flags)
    before, after = read(dense)["model"], read(tmp_path / "out.pt")["model"]
    assert all(torch.equal(before[name], after[name]) for name in NAMES)


def test_a_dry_run_prints_the_table_and_writes_nothing(dense, tmp_path, call):
    before = sorted(tmp_path.iterdir())
    code, out, err = call("apply", dense, "--dry-run", "--prune-scheme", "class-blind")
    assert (code, err) == (0, "")
    rows = [line.split()[:4] for line in out.splitlines()]
    assert ["all", "classes", "344", "275"] in rows
    assert out.splitlines()[-1].endswith("nothing was written")
    assert sorted(tmp_path.iterdir()) == before


def test_a_dry_run_says_that_the_output_exists(dense, pruned, call):
    code, out, _ = call("apply", dense, "--output", pruned, "--dry-run", *BLIND_HALF)
    assert code == 0
    assert out.splitlines()[-1].endswith(f"({pruned} exists: writing it needs --force)")


def test_the_last_line_has_the_file_and_its_size(dense, tmp_path, call):
    output = tmp_path / "out.pt"
    _, out, _ = call("apply", dense, "--output", output, *BLIND_HALF)
    assert out.splitlines()[-1].startswith(f"{output}: {output.stat().st_size / 1000:.1f} kB")


def test_json_has_what_the_table_has(dense, tmp_path, ask):
    output = tmp_path / "out.pt"
    found = ask("apply", dense, "--output", output, *BLIND_HALF)
    assert found["bytes"] == output.stat().st_size
    assert found["sparsity"] == 0.5
    assert found["digest"] == masks_in(output).digest()
    assert sum(row["removed"] for row in found["classes"]) == PRUNABLE // 2


def test_what_is_no_pruning_in_the_size_of_a_file_is_said(call, tmp_path):
    content = checkpoint()
    moments = {"exp_avg": torch.ones(1000), "exp_avg_sq": torch.ones(1000)}
    content["last_optimizer_state"]["state"] = {0: moments}
    path = write(tmp_path / "trained.pt", content)
    size = in_units(Path(path).stat().st_size)
    end = f"{path}, {size} (8.0 kB of them the optimizer's state, which is left out)"
    _, out, _ = call("apply", path, "--output", tmp_path / "out.pt", *BLIND_HALF)
    assert out.splitlines()[-1].endswith(f", pruned from {end}")
    _, out, _ = call("export", path, "--output", tmp_path / "e.pt", "--format", "checkpoint")
    assert out.splitlines()[-1].endswith(f", from {end}")


def test_force_replaces_the_checkpoint_itself(dense, pruned, call):
    before = in_units(Path(dense).stat().st_size)
    code, out, _ = call("apply", dense, "--output", dense, "--force", *BLIND_HALF)
    assert code == 0
    assert out.splitlines()[-1].endswith(f", pruned from {dense}, {before}")
    assert masks_in(dense).digest() == masks_in(pruned).digest()


def test_folders_on_the_way_to_the_output_are_made(dense, tmp_path, call):
    assert call("apply", dense, "--output", tmp_path / "a" / "b.pt", *BLIND_HALF)[0] == 0
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.pt"]


def test_a_class_that_dies_is_warned_of(tmp_path, call):
    content = checkpoint()
    content["model"][QUERY] *= 1e-6
    path = write(tmp_path / "in.pt", content)
    code, _, err = call("apply", path, "--output", tmp_path / "out.pt", *BLIND_HALF)
    assert code == 0
    assert err.splitlines() == [
        "fairseq-prune: warning: weight class source-layer-1.self-attention has died: "
        "all its weights are removed",
        f"fairseq-prune: warning: {QUERY} has died: all its weights are removed",
    ]


def test_class_distribution_tells_lambda_and_sigma(dense, call):
    _, out, _ = call("apply", dense, "--dry-run", "--prune-scheme", "class-distribution")
    assert "sigma" in out.splitlines()[0]
    assert any(line.startswith("lambda ") for line in out.splitlines())


def test_a_progress_bar_is_drawn_on_a_terminal_and_when_it_takes_long(
    dense, tmp_path, call, monkeypatch
):
    from fairseq_prune.cli import _progress

    def said() -> str:
        return call("apply", dense, "--output", tmp_path / "a.pt", "--force", *BLIND_HALF)[2]

    monkeypatch.setattr(_progress, "_SLOW", 0.0)
    piped = said()
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    slow = said()
    monkeypatch.setattr(_progress, "_SLOW", 60.0)
    quick = said()
    assert "0%|" in slow and "0%|" not in piped + quick


def test_a_file_from_before_torch_1_6_works(tmp_path, call):
    path = tmp_path / "old.pt"
    torch.save(checkpoint(), path, _use_new_zipfile_serialization=False)
    assert call("apply", path, "--output", tmp_path / "out.pt", *BLIND_HALF)[0] == 0
    assert call("verify", Path(tmp_path / "out.pt"))[0] == 0
