"""fairseq-prune control."""

import json

import pytest
import torch

from fairseq_prune.checkpoints.storage import masks_of
from tests.cli.conftest import BLIND_HALF
from tests.cli.models import read
from tests.conftest import read as trained


@pytest.fixture
def pruned(call, dense, tmp_path):
    path = tmp_path / "pruned.pt"
    assert call("apply", dense, "--output", path, *BLIND_HALF)[0] == 0
    return path


@pytest.mark.parametrize("kind", ["shuffle", "random", "invert"])
def test_a_control_has_the_counts_and_other_weights(call, dense, pruned, tmp_path, kind):
    out = tmp_path / "control.pt"
    flags = ("--weights", dense, "--output", out, "--kind", kind, "--json")
    code, text, _ = call("control", pruned, *flags)
    assert code == 0
    facts = json.loads(text)
    before, after = masks_of(read(pruned), "pruned"), masks_of(read(out), "control")
    assert before is not None and after is not None
    assert after.sparsity() == before.sparsity() == facts["sparsity"]
    assert after.digest() != before.digest()
    shared = [before[n] & after[n] for n in before]
    pads = sum(b - a for a, b in before.fixed.values())
    kept = sum(map(before.prunable, before)) - sum(map(before.removed, before))
    assert pads and facts["overlap"] == (sum(int(s.sum()) for s in shared) - pads) / kept
    assert facts["overlap"] < (0.3 if kind == "invert" else 0.9)
    assert call("verify", out)[0] == 0


def test_bad_input_is_refused(call, dense, pruned, tmp_path):
    out = tmp_path / "control.pt"
    for flags, sentence in (
        ((pruned, "--kind", "shuffle"), "--kind shuffle takes --weights and no --data"),
        ((pruned, "--kind", "reinit"), "--kind reinit takes --data and no --weights"),
        ((pruned, "--kind", "reinit", "--data", tmp_path), "fairseq cannot open"),
        ((pruned, "--weights", dense, "--kind", "upside"), "--kind 'upside' is unknown; choose"),
        ((dense, "--weights", dense, "--kind", "shuffle"), "is not pruned: there is no mask"),
        ((pruned, "--weights", pruned, "--kind", "shuffle"), "is pruned itself"),
    ):
        code, _, err = call("control", *flags, "--output", out)
        assert code == 2 and sentence in err and err.count("\n") == 1, err
    assert not out.exists()


@pytest.mark.parametrize("arch", ["lstm", "transformer"])
def test_reinit_is_what_training_with_that_seed_starts_from(call, train, corpus, tmp_path, arch):
    flags = ["--max-update", 2, "--prune-scheme", "class-blind", "--store-ema"]
    train(tmp_path / "pruned", *flags, arch=arch)
    pruned, out = tmp_path / "pruned/checkpoint_last.pt", tmp_path / "fresh.pt"
    begun = tmp_path / "begun"
    train(begun, "--max-update", 1, "--seed", 7, "--prune-keep-update", 0, arch=arch)
    given = ("--data", corpus, "--kind", "reinit", "--seed", 7, "--output", out)
    code, text, err = call("control", pruned, *given)
    assert code == 0, err
    assert "100.00% of what it keeps is kept in" in text
    masks, fresh = masks_of(trained(out), "fresh"), trained(out)["model"]
    started = trained(begun / "checkpoint_update_0.pt")["model"]
    assert masks is not None
    for name, mask in masks.items():
        assert torch.equal(fresh[name], started[name] * mask)
    assert call("verify", out)[0] == 0
    # and it is trained under those masks
    done = train(tmp_path / "on", "--max-update", 1, "--finetune-from-model", out, arch=arch)
    held = masks_of(done, "on")
    assert held is not None and held.digest() == masks.digest()


def test_units_have_a_control_of_their_own(call, dense, tmp_path):
    content = read(dense)
    content["model"]["decoder.layers.0.fc2.weight"] = torch.randn(8, 16)
    whole, units = tmp_path / "whole.pt", tmp_path / "units.pt"
    torch.save(content, whole)
    flags = ("--prune-scheme", "class-uniform", "--prune-structure", "ffn")
    assert call("apply", whole, "--output", units, *flags, "--prune-sparsity", "0.5")[0] == 0
    flags = ("--weights", whole, "--output", tmp_path / "control.pt", "--kind", "shuffle")
    code, _, err = call("control", units, *flags)
    assert code == 2
    assert "was pruned by unit (ffn), and shuffle moves single weights: its control is" in err
