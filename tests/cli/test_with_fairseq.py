"""Checkpoints that fairseq itself wrote."""

import pytest

from tests.cli.models import masks_in
from tests.conftest import run

PRUNE = ("--prune-scheme", "class-distribution", "--prune-sparsity", "0.6")
EMA = ("--store-ema", "--ema-fp32", "--ema-decay", "0.9")


@pytest.mark.parametrize("arch", ["lstm", "transformer"])
def test_apply_prunes_as_training_does_before_its_first_update(arch, train, tmp_path, call):
    train(tmp_path / "dense", "--max-update", 2, arch=arch)
    dense = tmp_path / "dense" / "checkpoint_last.pt"
    applied = tmp_path / "applied.pt"
    assert call("apply", dense, "--output", applied, *PRUNE)[0] == 0
    start = ("--finetune-from-model", dense, "--max-update", 1)
    train(tmp_path / "run", *start, *PRUNE, arch=arch)
    pruned = tmp_path / "run" / "checkpoint_last.pt"
    assert masks_in(applied).digest() == masks_in(pruned).digest()


@pytest.mark.parametrize("flags", [EMA, ("--optimizer", "adafactor")])
def test_what_training_writes_is_verified_model_averages_and_moments(flags, train, tmp_path, ask):
    train(tmp_path, "--max-update", 3, *flags, *PRUNE)
    (found,) = ask("verify", tmp_path / "checkpoint_last.pt")["checkpoints"]
    averages = ["EMA", "EMA (fp32)"] if flags == EMA else []
    assert found["checked"] == ["model", *averages, "optimizer"]


def test_training_goes_on_from_an_applied_file_and_holds_its_masks(train, tmp_path, call):
    train(tmp_path / "dense", "--max-update", 2)
    applied = tmp_path / "applied.pt"
    call("apply", tmp_path / "dense" / "checkpoint_last.pt", "--output", applied, *PRUNE)
    train(tmp_path / "run", "--finetune-from-model", applied, "--max-update", 2)
    retrained = tmp_path / "run" / "checkpoint_last.pt"
    assert masks_in(retrained).digest() == masks_in(applied).digest()
    assert call("verify", retrained)[0] == 0


def test_training_on_without_the_plugin_is_seen(corpus, train, tmp_path, call):
    train(tmp_path / "run", "--max-update", 2, *PRUNE)
    pruned = tmp_path / "run" / "checkpoint_last.pt"
    from tests.conftest import LSTM, TRAINING

    run(
        "fairseq-train", corpus, *LSTM, *TRAINING, "--save-dir", tmp_path / "stock",
        "--restore-file", pruned, "--max-update", 3,
    )  # fmt: skip
    resumed = tmp_path / "stock" / "checkpoint_last.pt"
    assert call("verify", resumed)[0] == 2
    code, out, _ = call("verify", resumed, "--masks-from", pruned)
    assert code == 1 and "but pruned" in out


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["lstm", "transformer"])
def test_plain_fairseq_generates_from_applied_and_averaged_files(
    arch, corpus, train, tmp_path, call
):
    train(tmp_path / "dense", "--max-update", 2, arch=arch)
    applied, mean = tmp_path / "applied.pt", tmp_path / "mean.pt"
    call("apply", tmp_path / "dense" / "checkpoint_last.pt", "--output", applied, *PRUNE)
    assert call("average", applied, applied, "--output", mean)[0] == 0
    outputs = [
        run("fairseq-generate", corpus, "--path", path, "--cpu", "--beam", 2, "--batch-size", 20)
        for path in (applied, mean)
    ]
    hypotheses = [[x for x in out.splitlines() if x.startswith("H-")] for out in outputs]
    assert len(hypotheses[0]) == 20 and hypotheses[0] == hypotheses[1]
