"""What was asked for and what it came to: exact where it can be, and said where it is not."""

import json

import pytest
import torch

from fairseq_prune.maths.select import round_count
from tests.cli.models import EMBEDDING, FC, NAMES, PRUNABLE, QUERY, SHAPES, masks_in, read

UNIFORM = ("--prune-scheme", "class-uniform")


@pytest.fixture
def uneven(dense, tmp_path, call):
    """The decoder's class has lost 80%, the others nothing."""
    path = tmp_path / "uneven.pt"
    shares = tmp_path / "shares.txt"
    shares.write_text("target-layer-1.ffn 0.8\n* 0\n")
    code, _, err = call("apply", dense, "--output", path, "--prune-scheme", "given",
                        "--prune-given", shares)  # fmt: skip
    assert (code, err) == (0, "")
    return path


def test_class_uniform_makes_up_for_a_class_that_has_lost_more(uneven, tmp_path, call):
    path = tmp_path / "half.pt"
    code, out, err = call("apply", uneven, "--output", path, *UNIFORM, "--prune-sparsity", "0.5")
    assert code == 0
    assert (
        "target-layer-1.ffn had lost 79.69% before, more than its 50.00%: it stays so, and the "
        "other classes lose less"
    ) in err
    assert "pruned to 0.5000 of 344 prunable weights (asked 0.5000)" in out
    masks = masks_in(path)
    assert masks.removed_in_all() == PRUNABLE // 2
    assert masks.removed(FC) == round_count(0.8, 128)
    assert call("verify", path)[0] == 0
    assert call("verify", path, "--expect", "0.5")[0] == 0


def test_shares_of_ones_own_are_made_up_for_too(uneven, tmp_path, call):
    path, shares = tmp_path / "given.pt", tmp_path / "own.txt"
    shares.write_text("* 0.5\n")
    code, _, err = call("apply", uneven, "--output", path, "--prune-scheme", "given",
                        "--prune-given", shares)  # fmt: skip
    assert code == 0 and "it stays so, and the other classes lose less" in err
    assert masks_in(path).removed_in_all() == PRUNABLE // 2
    assert call("verify", path)[0] == 0


@pytest.mark.parametrize("scheme", ["class-blind", "class-uniform", "class-distribution", "erk"])
def test_less_than_what_is_gone_is_refused(scheme, pruned, tmp_path, call):
    flags = ("--prune-scheme", scheme, "--prune-sparsity", "0.3")
    code, out, err = call("apply", pruned, "--output", tmp_path / "less.pt", *flags)
    assert (code, out) == (2, "")
    assert err == (
        f"fairseq-prune: --prune-sparsity 0.3 is below the 0.5000 that {pruned} has removed "
        "already, and masks only shrink: ask for more.\n"
    )


def test_tiles_are_compared_with_tiles(dense, tmp_path, call):
    """Half of the tiles, which are not half of the weights; then the same half again."""
    flags = ("--prune-scheme", "class-blind", "--prune-structure", "block:8x8",
             "--prune-sparsity", "0.5")  # fmt: skip
    once, twice = tmp_path / "once.pt", tmp_path / "twice.pt"
    assert call("apply", dense, "--output", once, *flags)[0] == 0
    code, out, _ = call("apply", once, "--output", twice, *flags)
    assert code == 0
    assert "pruned to 0.5000 of 6 tiles (block:8x8) (asked 0.5000)" in out
    assert masks_in(once).digest() == masks_in(twice).digest()
    code, _, err = call("apply", once, "--output", tmp_path / "less.pt", *flags[:-1], "0.3")
    assert code == 2
    assert "--prune-sparsity 0.3 is below the 0.5000 of block:8x8 that" in err


def test_a_pattern_over_what_was_pruned_says_what_it_came_to(pruned, tmp_path, call):
    path = tmp_path / "pattern.pt"
    code, out, err = call("apply", pruned, "--output", path, *UNIFORM, "--prune-structure", "2:4")
    assert code == 0
    removed = masks_in(path).removed_in_all()
    assert removed > PRUNABLE // 2
    assert (
        f"{removed / PRUNABLE:.2%} of {PRUNABLE} prunable weights are removed, more than the "
        "50.00% asked: 2:4 takes its part of whatever was left of each group"
    ) in err
    assert (
        f"pruned to {removed / PRUNABLE:.4f} of {PRUNABLE} prunable weights (asked 0.5000)" in out
    )
    assert call("verify", path, "--expect", "0.5")[0] == 1
    assert call("verify", path)[0] == 0


def test_sparsity_says_of_what(dense, tmp_path, call, ask):
    """Half of the query's 64 weights: the model has 376 parameters, 160 of them in its table."""
    path = tmp_path / "part.pt"
    flags = ("--prune-exclude", "target-layer-1.ffn,embedding", "--prune-sparsity", "0.5")
    code, out, _ = call("apply", dense, "--output", path, "--prune-scheme", "class-blind", *flags)
    assert code == 0
    table = read(path)["model"][EMBEDDING].numel()
    assert table == 160
    everything = sum(SHAPES[n][0] * SHAPES[n][1] for n in NAMES) + 8 + 8 + 1
    share = (
        f"removed: 50.00% of 64 prunable weights ({32 / everything:.2%} of all {everything} "
        f"parameters, {32 / (everything - table):.2%} without embeddings)"
    )
    assert share in out
    assert share in call("inspect", path)[1]
    said = ask("inspect", path)
    assert said["removed"] == 32 and said["prunable"] == 64
    assert said["sparsity_of_all"] == 32 / everything
    assert said["sparsity_without_embeddings"] == 32 / (everything - table)
    assert QUERY in masks_in(path)


def test_what_masks_of_others_come_to_is_said_too(pruned, dense, tmp_path, call):
    path = tmp_path / "given.pt"
    code, out, err = call("apply", dense, "--output", path, "--prune-mask-from", pruned)
    assert (code, err) == (0, "")
    assert "removed: 50.00% of 344 prunable weights (" in out
    assert torch.equal(masks_in(path)[FC], masks_in(pruned)[FC])
    assert json.loads(call("apply", dense, "--dry-run", "--json", *UNIFORM)[1])["removed"] == 275


# ----------------------------------------------------------------------- floors and multiples
FLOORS = [
    ("class-blind", "0.95", "10"),
    ("class-distribution", "0.95", "10"),
    ("erk", "0.95", "0.05"),
    ("class-uniform", "0.95", "0.2"),
]


@pytest.mark.parametrize("scheme, sparsity, least", FLOORS)
def test_some_of_each_tensor_stay(scheme, sparsity, least, dense, tmp_path, call):
    path = tmp_path / "floor.pt"
    code, out, err = call("apply", dense, "--output", path, "--prune-scheme", scheme,
                          "--prune-sparsity", sparsity, "--prune-keep-at-least", least)  # fmt: skip
    assert code == 0
    masks = masks_in(path)
    for name in NAMES:
        kept, floor = masks.prunable(name) - masks.removed(name), float(least)
        assert kept >= (floor if floor >= 1 else floor * masks.prunable(name))
    assert call("verify", path)[0] == 0
    if scheme == "class-uniform":  # every class is at its floor: nobody can make up for it
        assert (
            "79.65% of 344 prunable weights are removed, less than the 95.00% asked: "
            "--prune-keep-at-least 0.2 lets no more of them go"
        ) in err
    elif scheme != "erk":
        assert masks.removed_in_all() == round_count(0.95, PRUNABLE) - (30 - 17)
    assert f"keep_at_least:{float(least)}" in out


def test_a_floor_that_makes_no_sense_is_refused(dense, call):
    flags = ("apply", dense, "--dry-run", "--prune-scheme", "class-uniform")
    for value in ("0", "-1", "1.5", "nan"):
        code, _, err = call(*flags, "--prune-keep-at-least", value)
        assert code == 2 and "must be a whole number, 1 or more, or a share between 0 and 1." in err
    _, _, err = call(*flags, "--prune-structure", "2:4", "--prune-keep-at-least", "1")
    assert "has no effect with --prune-structure 2:4" in err
    _, _, err = call(*flags, "--prune-multiple", "8")
    assert "--prune-multiple 8 counts units; give --prune-structure ffn, heads, hidden or" in err
