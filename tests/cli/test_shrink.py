"""``fairseq-prune shrink`` on checkpoints that fairseq wrote, and what it refuses."""

import json
from pathlib import Path

import pytest
import torch

from tests.conftest import run

UNITS = ("--prune-scheme", "class-uniform", "--prune-sparsity", "0.5", "--prune-structure")


@pytest.fixture
def dense(train, tmp_path):
    """Trains a little; gives the path of the checkpoint."""

    def make(arch):
        train(tmp_path / arch, "--max-update", 30, arch=arch)
        return tmp_path / arch / "checkpoint_last.pt"

    return make


def translations(corpus, model, *flags, **environment):
    out = run(
        "fairseq-generate", corpus, "--path", model, "--cpu", "--beam", 5, "--max-len-b", 20,
        *flags, **environment,
    )  # fmt: skip
    found = [line for line in out.splitlines() if line.startswith("H-")]
    assert len(found) == 20
    return [line.split("\t")[::2] for line in found]


@pytest.mark.parametrize(("arch", "structure"), [("lstm", "hidden"), ("transformer", "ffn")])
def test_stock_fairseq_translates_the_same(arch, structure, dense, call, corpus, tmp_path):
    pruned, small = tmp_path / "pruned.pt", tmp_path / "small.pt"
    call("apply", dense(arch), "--output", pruned, *UNITS, structure)
    code, out, err = call("shrink", pruned, "--output", small)
    assert (code, err) == (0, "")
    assert "a plain fairseq checkpoint: it opens without this package" in out
    assert small.stat().st_size < pruned.stat().st_size
    # not even a trace of this package: neither its modules nor what it changes in fairseq
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "fairseq_prune.py").write_text("raise ImportError('hidden')\n")
    before = translations(corpus, pruned, PYTHONPATH=str(hidden))
    assert translations(corpus, small, PYTHONPATH=str(hidden)) == before


def test_heads_need_the_plugin_and_say_so(dense, call, corpus, tmp_path):
    pruned, small = tmp_path / "pruned.pt", tmp_path / "small.pt"
    call("apply", dense("transformer"), "--output", pruned, *UNITS, "ffn+heads")
    code, out, err = call("shrink", pruned, "--output", small)
    assert (code, err) == (0, "")
    assert "architecture shrunk_transformer: give --user-dir fairseq_prune" in out
    plugin = ("--user-dir", Path(__file__).resolve().parents[2] / "fairseq_prune")
    assert translations(corpus, small, *plugin) == translations(corpus, pruned)


def test_json_says_what_the_table_says(dense, call, ask, corpus, tmp_path):
    pruned, small = tmp_path / "pruned.pt", tmp_path / "small.pt"
    call("apply", dense("transformer"), "--output", pruned, *UNITS, "ffn")
    said = ask("shrink", pruned, "--output", small)
    assert said["units"]["encoder.layers.0.ffn"] == [32, 16]
    assert said["train"][:2] == ["fairseq-train", str(corpus)]
    assert said["settings"] == {"encoder_ffn_embed_dim": 16, "decoder_ffn_embed_dim": 16}
    before, after = said["parameters"]
    assert before - after == 4 * 16 * (16 + 16 + 1)  # four layers; rows, columns and biases
    assert said["bytes"] == small.stat().st_size


def test_averages_are_cut_too_and_masks_that_still_prune_stay(train, call, tmp_path):
    flags = ("--store-ema", "--ema-fp32", "--ema-decay", "0.9")
    train(tmp_path / "run", "--max-update", 3, *flags, arch="transformer")
    last, half, both, small = (tmp_path / f"{name}.pt" for name in ("l", "half", "both", "small"))
    last = tmp_path / "run" / "checkpoint_last.pt"
    call("apply", last, "--output", half, "--prune-scheme", "class-blind", "--prune-sparsity", ".3")
    call("apply", half, "--output", both, *UNITS, "ffn")
    assert call("shrink", both, "--output", small)[0] == 0
    content = torch.load(small, weights_only=False)
    name = "encoder.layers.0.fc2.weight"
    assert content["extra_state"]["ema_fp32_params"][name].shape == (16, 16)
    assert content["model"][name].shape == (16, 16)
    assert call("verify", small)[0] == 0
    assert call("inspect", small)[0] == 0


def refusal(call, *arguments):
    code, out, err = call("shrink", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("fairseq-prune: ")
    assert err.count("\n") == 1
    return err.removeprefix("fairseq-prune: ").strip()


def test_weights_that_were_pruned_one_by_one_are_refused(dense, call, tmp_path):
    path, pruned, small = dense("transformer"), tmp_path / "pruned.pt", tmp_path / "small.pt"
    blind = ("--prune-scheme", "class-blind", "--prune-sparsity")
    call("apply", path, "--output", pruned, *blind, "0.99")
    said = refusal(call, pruned, "--output", small)
    assert f"The masks of {pruned} remove single weights, not whole units: " in said
    assert "of its 144 units have no effect; prune units first (--prune-structure ffn or" in said
    assert not small.exists()
    assert call("shrink", pruned, "--output", small, "--anyway")[0] == 0
    assert small.stat().st_size < pruned.stat().st_size
    assert "has no whole unit to cut out: each of its 144 has an effect" in refusal(
        call, path, "--output", tmp_path / "none.pt"
    )


def test_models_without_known_units_are_refused(call, tmp_path):
    path = tmp_path / "other.pt"
    torch.save({"model": {"encoder.convolutions.0.weight_v": torch.ones(3, 4, 4)}}, path)
    assert "has no units that are known here: fairseq's LSTM and Transformer can be" in refusal(
        call, path, "--output", tmp_path / "small.pt"
    )


def test_weights_that_go_after_units_leave_units_to_cut_out(dense, train, call, corpus, tmp_path):
    """Whatever was done last: weights pruned too, retrained, or the masks taken by another."""
    path, units, more, taken = (tmp_path / f"{name}.pt" for name in ("d", "units", "more", "taken"))
    path = dense("transformer")
    call("apply", path, "--output", units, *UNITS, "ffn")
    more_flags = ("--prune-scheme", "class-blind", "--prune-sparsity", "0.6")
    assert call("apply", units, "--output", more, *more_flags)[0] == 0
    assert call("apply", path, "--output", taken, "--prune-mask-from", units)[0] == 0
    train(tmp_path / "run", "--max-update", 2, "--finetune-from-model", units, arch="transformer")
    for last in (more, taken, tmp_path / "run" / "checkpoint_last.pt"):
        code, out, err = call("shrink", last, "--dry-run")
        assert (code, err) == (0, "")
        assert out.count(" 50%\n") == 4  # feed-forward layers
    control = ("--kind", "shuffle", "--weights", path, "--output", tmp_path / "control.pt")
    code, _, err = call("control", taken, *control)
    assert (code, f"The masks that {taken} holds are of whole units" in err) == (2, True)
    assert call("control", more, *control)[0] == 0


def test_nothing_is_overwritten(dense, call, tmp_path):
    pruned, small = tmp_path / "pruned.pt", tmp_path / "small.pt"
    call("apply", dense("transformer"), "--output", pruned, *UNITS, "ffn")
    small.write_text("precious")
    assert "exists; give --force to replace it." in refusal(call, pruned, "--output", small)
    assert small.read_text() == "precious"
    assert "needs --output OUT for the smaller checkpoint, or --dry-run." in refusal(call, pruned)
    code, out, _ = call("shrink", pruned, "--dry-run")
    assert code == 0
    assert "nothing was written" in out


def test_evaluate_and_apply_open_our_architectures(dense, call, ask, corpus, tmp_path):
    pruned, small, twice = (tmp_path / f"{name}.pt" for name in ("pruned", "small", "twice"))
    call("apply", dense("transformer"), "--output", pruned, *UNITS, "heads")
    assert call("shrink", pruned, "--output", small)[0] == 0
    data = ("--data", corpus)
    flags = ("--prune-saliency", "gate", "--prune-score-batches", 2)
    assert call("apply", small, "--output", twice, *UNITS, "ffn", *flags, *data)[0] == 0
    assert call("verify", twice)[0] == 0
    output = ("--output", tmp_path / "results.jsonl")
    code, out, err = call("evaluate", pruned, small, *data, *output, "--cpu", "--max-len-b", 20)
    assert code == 0, err
    one, two = [json.loads(line) for line in (tmp_path / "results.jsonl").open()]
    assert one["bleu"] == two["bleu"]
    assert one["valid_ppl"] == pytest.approx(two["valid_ppl"], rel=1e-5)
