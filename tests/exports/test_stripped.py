"""Stripped checkpoints: what is left, and that fairseq opens them by itself."""

from argparse import Namespace

import pytest
import torch

from fairseq_prune.checkpoints import storage
from fairseq_prune.checkpoints.steps import STEPS_KEY
from fairseq_prune.checkpoints.storage import CheckpointError
from fairseq_prune.exports.stripped import stripped
from fairseq_prune.tasks import opening
from tests.cli.models import DECODER_EMBEDDING, EMBEDDING, FC, QUERY, SHADOW, SOFTMAX, checkpoint
from tests.conftest import read, run

PRUNE = ("--prune-scheme", "class-distribution", "--prune-sparsity", "0.6")
TIED = (EMBEDDING, DECODER_EMBEDDING, SOFTMAX)


def test_only_what_decoding_needs_is_left():
    content = checkpoint()
    content["extra_state"]["ema"] = dict(content["model"])
    content["task_state"][storage.PRUNE_KEY] = None
    left = stripped(content, "dense.pt")
    assert set(left) == {
        "args", "cfg", "model", "optimizer_history", "task_state", "extra_state"
    }  # fmt: skip
    assert set(left["task_state"]) == {"src_dict", STEPS_KEY}
    assert left["optimizer_history"][0]["num_updates"] == 4
    assert set(content["model"]) - set(left["model"]) == {SHADOW}


def test_nothing_in_the_original_is_changed():
    content, same = checkpoint(), checkpoint()
    stripped(content, "dense.pt", half=True)
    assert list(content) == list(same) and list(content["model"]) == list(same["model"])
    assert all(torch.equal(content["model"][n], t) for n, t in same["model"].items())


def test_a_shadow_copy_that_fairseq_would_not_refill_stays():
    content = checkpoint()
    del content["model"][QUERY]
    assert SHADOW in stripped(content, "dense.pt")["model"]


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("half", [False, True])
def test_tied_tensors_are_one(apart, half):
    content = opening.read("dense.pt", checkpoint(apart=apart)).content
    model = stripped(content, "dense.pt", half)["model"]
    assert len({id(model[name]) for name in TIED}) == 1


def test_no_tensor_brings_more_memory_than_its_own():
    content = checkpoint()
    piece = torch.arange(64.0).reshape(8, 8)
    content["model"] |= {"part": piece[2:4], "turned": piece.t(), "none": torch.zeros(0, 3)}
    content["model"] |= {"nothing": torch.zeros(0, 3), "wide": torch.ones(1).expand(6)}
    model = stripped(content, "dense.pt")["model"]
    for name, tensor in model.items():
        assert torch.equal(tensor, content["model"][name]) and tensor.is_contiguous()
        assert tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
    assert model["none"] is not model["nothing"]


def test_half_is_float16_and_leaves_whole_numbers():
    model = stripped(checkpoint(), "dense.pt", half=True)["model"]
    assert model["steps"].dtype == torch.int64
    assert model[FC].dtype == torch.float16
    assert torch.equal(model[FC], checkpoint()["model"][FC].half())


def test_half_refuses_what_it_cannot_hold():
    content = checkpoint()
    content["model"][FC][0, 0] = 70000.0
    sentence = f"^dense.pt cannot be stored in float16: {FC} has values beyond 65504.$"
    with pytest.raises(ValueError, match=sentence):
        stripped(content, "dense.pt", half=True)
    content["model"][FC][0, 0] = float("inf")
    assert stripped(content, "dense.pt", half=True)["model"][FC][0, 0] == float("inf")


def test_a_sparse_tensor_is_refused():
    content = checkpoint()
    content["model"]["odd"] = torch.eye(3).to_sparse()
    with pytest.raises(ValueError, match="^x.pt cannot be exported: odd is no ordinary tensor.$"):
        stripped(content, "x.pt")


@pytest.mark.parametrize(
    "entries",
    [
        {"optimizer_history": None, "task_state": None, "extra_state": None},
        {"optimizer_history": [], "task_state": {}},
        {"optimizer_history": [{"num_updates": "odd"}], "pruned": {"signature": 1}},
    ],
)
def test_odd_entries_do_no_harm(entries):
    left = stripped({**checkpoint(), **entries}, "x.pt")
    assert left["optimizer_history"][0]["num_updates"] == 0
    assert "pruned" not in left


def test_omegaconf_becomes_plain():
    from omegaconf import OmegaConf

    settings = {"model": {"_name": "transformer", "dims": [1, 2]}, "seed": 1}
    content = {**checkpoint(), "cfg": OmegaConf.create(settings), "args": Namespace(a=1)}
    left = stripped(content, "x.pt")
    assert left["cfg"] == settings and type(left["cfg"]["model"]) is dict
    assert left["args"] == Namespace(a=1)


def test_settings_may_look_at_each_other_and_nowhere_else(monkeypatch):
    from omegaconf import OmegaConf

    monkeypatch.setenv("SECRET", "told")
    kind = {"model": {"lr": "${other.lr}"}, "other": {"lr": 1, "note": "${lr"}}
    left = stripped({**checkpoint(), "cfg": OmegaConf.create(kind)}, "x.pt")
    assert left["cfg"]["model"]["lr"] == 1
    for text in ("${env:SECRET}", "a ${ env:SECRET } b", "${oc.env:SECRET,none}"):
        hostile = OmegaConf.create({"model": {"data": text}})
        with pytest.raises(CheckpointError, match=r"x\.pt has a setting that looks outside"):
            stripped({**checkpoint(), "cfg": hostile}, "x.pt")


@pytest.mark.parametrize("arch", ["lstm", "transformer"])
def test_fairseq_loads_the_same_model(arch, train, tmp_path):
    from fairseq import checkpoint_utils

    train(tmp_path, "--max-update", 2, *PRUNE, "--store-ema", arch=arch)
    path = tmp_path / "checkpoint_last.pt"
    storage.save(stripped(storage.load(path), str(path)), tmp_path / "left.pt")
    models = [
        checkpoint_utils.load_model_ensemble([str(file)])[0][0].eval()
        for file in (path, tmp_path / "left.pt")
    ]
    first, second = (model.state_dict() for model in models)
    assert list(first) == list(second)
    changed = [n for n in first if not torch.equal(first[n], second[n])]
    assert all(name.endswith("_float_tensor") for name in changed)  # fairseq never writes it
    tokens, lengths = torch.tensor([[5, 6, 7, 2], [8, 9, 4, 2]]), torch.tensor([4, 4])
    before = torch.tensor([[2, 5, 6], [2, 7, 8]])
    with torch.no_grad():
        logits = [model(tokens, lengths, before)[0] for model in models]
    assert torch.equal(*logits)
    note = read(tmp_path / "left.pt")["pruned"]
    assert note["signature"].startswith("class-distribution|sparsity:0.6")
    assert abs(note["sparsity"] - 0.6) < 1e-3


@pytest.mark.slow
def test_training_starts_from_it(train, tmp_path):
    train(tmp_path / "dense", "--max-update", 2)
    path, left = tmp_path / "dense" / "checkpoint_last.pt", tmp_path / "left.pt"
    storage.save(stripped(storage.load(path), str(path)), left)
    made = train(tmp_path / "run", "--finetune-from-model", left, "--max-update", 1)
    again = train(tmp_path / "again", "--finetune-from-model", path, "--max-update", 1)
    assert all(torch.equal(made["model"][n], t) for n, t in again["model"].items())


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["lstm", "transformer"])
def test_plain_fairseq_generates_the_same(arch, corpus, train, tmp_path, call_export):
    train(tmp_path, "--max-update", 2, arch=arch)
    path = tmp_path / "checkpoint_last.pt"
    call_export(path, "compact", tmp_path / "small.fsz")
    call_export(tmp_path / "small.fsz", "checkpoint", tmp_path / "back.pt")
    outputs = [
        run("fairseq-generate", corpus, "--path", file, "--cpu", "--beam", 2, "--batch-size", 20)
        for file in (path, tmp_path / "back.pt")
    ]
    hypotheses = [[x for x in out.splitlines() if x.startswith("H-")] for out in outputs]
    assert len(hypotheses[0]) == 20 and hypotheses[0] == hypotheses[1]


def test_noise_of_several_layers_is_written_alike_each_time():
    noise = {f"layers.{n}._float_tensor": torch.rand(1) for n in range(20)}
    content = {"model": {**noise, "w": torch.rand(3)}, "task_state": {}}
    made = [stripped(content, "x", half=True)["model"] for _ in range(5)]
    for model in made:
        assert len({id(tensor) for tensor in model.values()}) == len(model)
        assert not any(model[name].any() for name in noise)
