"""A file is what its model's class makes of it: ties, frozen matrices, and names of older fairseq.

Commands and training count the same weights, and what a command writes opens in fairseq.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fairseq_prune.checkpoints import storage
from fairseq_prune.checkpoints.audit import Audit, audit
from fairseq_prune.checkpoints.storage import CheckpointError
from fairseq_prune.cli.main import main
from fairseq_prune.masks.state import Masks
from fairseq_prune.tasks.opening import open_checkpoint
from tests.conftest import Train, audit_of, read

HALF = ("--prune-scheme", "class-blind", "--prune-sparsity", 0.5)
LAYERS = "encoder.layers."
ATTENTION = re.compile(r"(.*_attn)\.([qkv])_proj\.(weight|bias)$")


@pytest.fixture
def dense(train: Train, tmp_path: Path) -> Callable[..., Path]:
    """The path of a small Transformer that fairseq trained, changed by a function."""

    def make(change: Callable[[dict[str, Any]], Any] = lambda content: None, *flags: Any) -> Path:
        content = train(tmp_path / "dense", "--max-update", 2, *flags, arch="transformer")
        change(content)
        torch.save(content, tmp_path / "dense.pt")
        return tmp_path / "dense.pt"

    return make


def apply(path: Path, *flags: Any) -> Path:
    """What ``fairseq-prune apply`` makes of a file; it has to open in fairseq."""
    output = path.with_name("pruned.pt")
    words = ["apply", path, "--output", output, "--force", *(flags or HALF)]
    assert main([str(word) for word in words]) == 0
    return opens(output)


def saved(content: Any, path: Path) -> Path:
    """A file with this content beside ``path``, which it may be mapped from."""
    other = path.with_name("changed.pt")
    torch.save(content, other)
    return other


def opens(path: Path) -> Path:
    """The file, which fairseq opens with its strict loading."""
    from fairseq.checkpoint_utils import load_model_ensemble_and_task

    load_model_ensemble_and_task([str(path)])
    return path


def prunable(path: Path) -> int:
    return sum(weight.prunable for weight in open_checkpoint(str(path)).weights.values())


def unmasked(found: Audit) -> list[str]:
    """What is said of matrices without masks, up to the reason."""
    return [note.partition(",")[0] for note in found.notes if note.startswith("without masks")]


def retrained(train: Train, path: Path, *flags: Any) -> Path:
    folder = path.with_name("retrained")
    train(folder, "--finetune-from-model", path, "--max-update", 3, *flags, arch="transformer")
    return folder / "checkpoint_last.pt"


# ------------------------------------------------------------------ equal is not tied
def grow(shared: bool) -> Callable[[dict[str, Any]], None]:
    """Makes layer 1 of the encoder a copy of layer 0, in memory of its own or not."""

    def change(content: dict[str, Any]) -> None:
        state = content["model"]
        for name in [name for name in state if name.startswith(f"{LAYERS}0.")]:
            value = state[name] if shared else state[name].clone()
            state[name.replace("layers.0", "layers.1")] = value

    return change


@pytest.mark.parametrize("shared", [True, False], ids=["shared memory", "copies"])
def test_a_layer_that_was_copied_is_a_layer_of_its_own(
    shared: bool, dense: Callable[..., Path], train: Train
) -> None:
    path = dense(grow(shared))
    pruned = apply(path)
    masks = storage.masks_of(storage.load(pruned), pruned)
    assert masks is not None and prunable(pruned) == masks.prunable_in_all()
    copied = [name for name in masks if name.startswith(f"{LAYERS}1.")]
    assert [name.replace("layers.1", "layers.0") in masks for name in copied] == [True] * 6
    # training counts the same, and nothing grows back
    last = retrained(train, pruned)
    assert storage.masks_of(storage.load(last), last).digest() == masks.digest()  # type: ignore[union-attr]
    found = audit_of(str(last))
    assert found.ok and unmasked(found) == []
    state = read(last)["model"]
    assert all(not state[name][~masks[name]].any() for name in copied)


def test_a_tie_that_a_file_has_lost_is_one_tensor(dense: Callable[..., Path]) -> None:
    def part(content: dict[str, Any]) -> None:  # as fairseq saves a model that was on a GPU
        state = content["model"]
        state.update({name: value.clone() for name, value in state.items()})

    path = dense(part)
    table, softmax = "decoder.embed_tokens.weight", "decoder.output_projection.weight"
    opened = open_checkpoint(str(path))
    assert opened.weights[table].aliases == (table, softmax)
    state = storage.load(apply(path))["model"]
    assert state[table].data_ptr() == state[softmax].data_ptr()


def test_a_tensor_that_is_two_in_a_file_is_refused(dense: Callable[..., Path]) -> None:
    def tear(content: dict[str, Any]) -> None:
        softmax = "decoder.output_projection.weight"
        content["model"][softmax] = content["model"][softmax] * 2

    with pytest.raises(CheckpointError, match="one tensor in its model, and differ in the file"):
        open_checkpoint(str(dense(tear)))


# ------------------------------------------------------------------ older fairseq
def to_old(content: dict[str, Any]) -> None:
    """Makes a model one of fairseq before 0.9: projections in one matrix, no output_projection."""
    state = content["model"]
    for name in list(state):
        match = ATTENTION.match(name)
        if match and match[2] == "q":
            parts = [state.pop(f"{match[1]}.{part}_proj.{match[3]}") for part in "qkv"]
            state[f"{match[1]}.in_proj_{match[3]}"] = torch.cat(parts)
    if "decoder.output_projection.weight" in state:
        state["decoder.embed_out"] = state.pop("decoder.output_projection.weight")


UNTIED = ("--share-decoder-input-output-embed",)


def test_names_of_older_fairseq_become_those_of_today(
    dense: Callable[..., Path], train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = dense()
    new = open_checkpoint(str(path))
    content = read(path)
    to_old(content)
    content["model"].pop("decoder.embed_out")  # where it was the table, it was left out
    path = saved(content, path)
    old = open_checkpoint(str(path))
    assert {n: w.weight_class for n, w in old.weights.items()} == new.classes
    assert all(torch.equal(old.tensors[name], tensor) for name, tensor in new.tensors.items())
    pruned = apply(path)
    assert "encoder.layers.0.self_attn.q_proj.weight" in storage.load(pruned)["model"]
    assert audit_of(str(retrained(train, pruned))).ok


@pytest.mark.parametrize("structure", ["ffn", "heads", "ffn+heads"])
def test_units_of_an_older_file_are_found(structure: str, dense: Callable[..., Path]) -> None:
    path = dense(to_old_with_table)
    flags = ("--prune-scheme", "class-uniform", "--prune-structure", structure)
    pruned = apply(path, *flags, "--prune-sparsity", 0.5)
    masks = storage.masks_of(storage.load(pruned), pruned)
    assert masks is not None
    parts = {"ffn": "fc1", "heads": "q_proj"}
    for kind in structure.split("+"):
        assert any(parts[kind] in name for name in masks)


def to_old_with_table(content: dict[str, Any]) -> None:
    to_old(content)
    content["model"].pop("decoder.embed_out")


def test_masks_of_an_older_version_go_the_way_of_the_weights(
    dense: Callable[..., Path], train: Train
) -> None:
    path = apply(dense())
    content = read(path)
    packed = content["task_state"]["prune"]["masks"]
    from fairseq_prune.masks.state import Masks

    masks = Masks.unpack(packed, "")
    # what an older version of ours would have left: one mask for the one matrix of that layout
    inside: dict[str, Any] = {"model": dict(masks)}
    to_old(inside)
    old = {name: mask for name, mask in inside["model"].items() if "in_proj_" in name}
    rest = {name: mask for name, mask in masks.items() if name in inside["model"]}
    assert len(old) == 6
    content["task_state"]["prune"]["masks"] = Masks({**rest, **old}, masks.fixed).pack()
    to_old_with_table(content)
    path = saved(content, path)
    opened = open_checkpoint(str(path))
    assert opened.masks is not None and opened.masks.digest() == masks.digest()
    last = retrained(train, path)
    assert storage.masks_of(storage.load(last), last).digest() == masks.digest()  # type: ignore[union-attr]


# ------------------------------------------------------------------ files of scripts
@pytest.mark.parametrize("change", ["stripped", "module.", "float16"])
def test_what_a_script_has_left_opens_in_fairseq_once_it_is_pruned(
    change: str, dense: Callable[..., Path]
) -> None:
    path = dense()
    content = read(path)
    if change == "stripped":
        content = {"model": content["model"], "cfg": content["cfg"]}
    elif change == "module.":
        content["model"] = {f"module.{n}": value for n, value in content["model"].items()}
    else:
        halves = {n: v.half() if v.is_floating_point() else v for n, v in content["model"].items()}
        content["model"] = halves
    path = saved(content, path)
    assert audit_of(str(apply(path))).ok


# ------------------------------------------------------------------ frozen
FROZEN = ("--arch", "lstm", "--encoder-freeze-embed")


@pytest.mark.parametrize("saliency", ["magnitude", "snip", "synflow"])
def test_a_frozen_table_is_left_alone_as_in_training(
    saliency: str, corpus: Path, train: Train, tmp_path: Path
) -> None:
    train(tmp_path / "dense", "--max-update", 2, "--encoder-freeze-embed")
    path = tmp_path / "dense" / "checkpoint_last.pt"
    flags = [*HALF, "--prune-saliency", saliency]
    flags += [] if saliency == "magnitude" else ["--data", corpus]
    pruned = apply(path, *flags)
    masks = storage.masks_of(storage.load(pruned), pruned)
    assert masks is not None and "encoder.embed_tokens.weight" not in masks
    run = tmp_path / "run"
    train(run, "--max-update", 1, "--encoder-freeze-embed", *HALF)
    trained = storage.masks_of(storage.load(run / "checkpoint_last.pt"), "")
    assert trained is not None and trained.prunable_in_all() == masks.prunable_in_all()
    train(tmp_path / "r", "--max-update", 3, "--encoder-freeze-embed",
          "--finetune-from-model", pruned)  # fmt: skip
    assert audit_of(str(tmp_path / "r" / "checkpoint_last.pt")).ok


def test_a_mask_stays_on_what_is_frozen_later(
    train: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(tmp_path / "dense", "--max-update", 2)
    pruned = apply(tmp_path / "dense" / "checkpoint_last.pt")
    table = "encoder.embed_tokens.weight"
    freeze = ("--encoder-freeze-embed", "--finetune-from-model", pruned)
    caplog.set_level("INFO")
    train(tmp_path / "r", "--max-update", 3, *freeze)
    last = tmp_path / "r" / "checkpoint_last.pt"
    before, after = (storage.masks_of(storage.load(file), "") for file in (pruned, last))
    assert before is not None and after is not None and table in after
    assert before.digest() == after.digest() and audit_of(str(last)).ok
    assert f"frozen under its mask: {table}" in caplog.text
    with pytest.raises(ValueError, match=f"masks of {table}, which these flags freeze"):
        train(tmp_path / "s", "--max-update", 3, *freeze, "--prune-scheme", "class-blind",
              "--prune-sparsity", 0.7)  # fmt: skip


# ------------------------------------------------------------------ what has no mask
def test_matrices_without_a_mask_are_named(
    train: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = "encoder.embed_tokens.weight"
    train(tmp_path / "dense", "--max-update", 2, "--encoder-freeze-embed")
    path = apply(tmp_path / "dense" / "checkpoint_last.pt")
    train(tmp_path / "r", "--max-update", 3, "--finetune-from-model", path)
    assert f"without masks: {table}" in caplog.text
    found = audit_of(str(tmp_path / "r" / "checkpoint_last.pt"))
    assert unmasked(found) == [f"without masks: {table}"]


def test_what_was_excluded_is_not_named(train: Train, tmp_path: Path) -> None:
    train(tmp_path / "dense", "--max-update", 1)
    path = tmp_path / "dense" / "checkpoint_last.pt"
    pruned = apply(path, *HALF, "--prune-exclude", "embed_tokens")
    assert unmasked(audit_of(str(pruned))) == []


UNITS = ("--prune-scheme", "class-uniform", "--prune-structure", "ffn+heads", "--prune-sparsity")


def test_what_units_do_not_reach_is_not_named(
    dense: Callable[..., Path], train: Train, caplog: pytest.LogCaptureFixture
) -> None:
    path = apply(dense(), *UNITS, 0.5)
    assert "encoder.embed_tokens.weight" not in storage.masks_of(storage.load(path), path)  # type: ignore[operator]
    last = retrained(train, path)
    assert "without masks" not in caplog.text
    for found in (
        audit_of(str(path)),
        audit_of(str(last)),
        audit(open_checkpoint(str(last)), str(path)),
    ):
        assert found.ok and unmasked(found) == []
    again = last.parent.with_name("again")
    train(again, "--finetune-from-model", last, "--max-update", 2, arch="transformer")
    # pruning all that there is leaves nothing dense
    more = last.parent.with_name("more")
    train(more, "--finetune-from-model", last, "--max-update", 2, *HALF, arch="transformer")
    assert "without masks" not in caplog.text
    for folder in (again, more):
        assert unmasked(audit_of(str(folder / "checkpoint_last.pt"))) == []


def test_what_units_reach_is_named_where_it_has_no_mask(
    dense: Callable[..., Path], train: Train, caplog: pytest.LogCaptureFixture
) -> None:
    path = apply(dense(), *UNITS, 0.5)
    content = read(path)
    stored, masks = storage.prune_state(content), storage.masks_of(content, path)
    assert stored is not None and masks is not None
    name = "encoder.layers.0.fc2.weight"
    stored["masks"] = Masks({n: mask for n, mask in masks.items() if n != name}).pack()  # type: ignore[index]
    lost = saved(content, path)
    last = retrained(train, lost)
    assert f"without masks: {name}, which" in caplog.text
    assert unmasked(audit_of(str(last))) == [f"without masks: {name}"]


# ------------------------------------------------------------------ what else reads files
def test_counts_and_exports_of_an_older_file_are_those_of_today(
    dense: Callable[..., Path], corpus: Path
) -> None:
    from fairseq_prune.checkpoints.counts import count
    from fairseq_prune.evaluation.provenance import provenance
    from fairseq_prune.exports import ctranslate

    new = dense()
    content = read(new)
    to_old_with_table(content)
    old = saved(content, new)
    counts = [count(open_checkpoint(str(path))).as_dict() for path in (new, old)]
    assert counts[0] == counts[1] and counts[0]["multiply_adds_per_target_token"][0] > 0
    made = [provenance(str(path)) for path in (new, old)]
    assert made[0]["parameters"] == made[1]["parameters"] == counts[0]["parameters"]
    models = []
    for path in (new, old):
        output = path.with_suffix(".exported")
        ctranslate.convert(str(path), str(corpus), str(output), "float32", force=True)
        models.append((output / "model.bin").read_bytes())
    assert models[0] == models[1]
