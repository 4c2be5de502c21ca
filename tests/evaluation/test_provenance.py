"""What a row of results says of how its checkpoint came to be, from files that fairseq wrote."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fairseq_prune.checkpoints import storage
from fairseq_prune.checkpoints.steps import STEPS_KEY, read_steps
from fairseq_prune.checkpoints.storage import PRUNE_KEY, CheckpointError
from fairseq_prune.cli.main import main
from fairseq_prune.evaluation.provenance import provenance
from tests.conftest import ARCHES, TRAINING, cut_at, run, train_here

HALF = ("--prune-scheme", "class-blind", "--prune-sparsity", 0.5)
Make = Callable[..., Path]


def call(*words: Any) -> None:
    assert main([str(word) for word in words]) == 0


@pytest.fixture(scope="module")
def files(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A dense model of three updates, and what our commands and trainings make of it."""
    folder = tmp_path_factory.mktemp("files")

    def train(name: str, *flags: Any, cut: int | None = None) -> Path:
        common = (corpus, *ARCHES["transformer"], *TRAINING, "--max-update", 3)
        with cut_at(cut):
            train_here([*common, "--save-dir", folder / name, *flags])
        return folder / name / "checkpoint_last.pt"

    def made(name: str) -> Path:
        return folder / f"{name}.pt"

    dense = train("dense")
    call("apply", dense, "--output", made("pruned"), *HALF)
    pruned = made("pruned")
    units = ("--prune-scheme", "class-uniform", "--prune-structure", "ffn", "--prune-sparsity", 0.5)
    call("apply", dense, "--output", made("units"), *units)
    call("shrink", made("units"), "--output", made("small"))
    call("control", pruned, "--weights", dense, "--output", made("shuffled"), "--kind", "shuffle")
    found = {
        "dense": dense,
        "retrained": train("retrained", "--finetune-from-model", pruned),
        "scratch": train("scratch", "--prune-mask-from", pruned),
        "fresh": train("fresh", *HALF),
        "gradual": train("gradual", "--finetune-from-model", dense, *HALF, "--prune-schedule",
                         "gradual", "--prune-end", 40, "--prune-every", 1),
        "waiting": train("waiting", "--finetune-from-model", dense, *HALF, "--prune-start", 9,
                         "--max-update", 10, "--save-interval-updates", 3, cut=3),
        "control": train("control", "--finetune-from-model", made("shuffled")),
    }  # fmt: skip
    call("average", found["retrained"], found["retrained"], "--output", made("mean"))
    call("export", pruned, "--format", "checkpoint", "--half", "--output", made("stripped"))
    width = ("--encoder-ffn-embed-dim", 16, "--decoder-ffn-embed-dim", 16)
    found["small on"] = train("on", *width, "--finetune-from-model", made("small"))
    names = ("pruned", "units", "small", "shuffled", "mean", "stripped")
    return {**found, **{name: made(name) for name in names}}


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


EXPECTED = {
    "dense": ("dense", []),
    "pruned": ("pruned", []),
    "units": ("pruned", []),
    "retrained": ("retrained", []),
    "scratch": ("scratch", []),
    "fresh": ("fresh", []),
    "gradual": ("retrained", []),
    "waiting": ("waiting", []),
    "shuffled": ("pruned", ["shuffle control"]),
    "control": ("retrained", ["shuffle control"]),
    "small": ("pruned", ["shrunk"]),
    "small on": ("retrained", ["shrunk", "trained on"]),
    "mean": ("retrained", ["mean of 2"]),
    "stripped": ("pruned", ["exported, float16"]),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_stage_comes_from_the_file(files: dict[str, Path], name: str) -> None:
    row = provenance(str(files[name]))
    assert (row["stage"], row["made"]) == EXPECTED[name]


def test_what_chose_the_masks_is_known_wherever_they_went(files: dict[str, Path]) -> None:
    files["pruned"].rename(files["pruned"].with_suffix(".away"))  # no other file is asked
    try:
        rows = {name: provenance(str(files[name])) for name in EXPECTED if name != "pruned"}
    finally:
        files["pruned"].with_suffix(".away").rename(files["pruned"])
    method = "class-blind|sparsity:0.5|saliency:magnitude"
    for name in ("retrained", "scratch", "fresh", "shuffled", "control", "mean", "stripped"):
        row = rows[name]
        assert (row["method"], row["scheme"], row["target"]) == (method, "class-blind", 0.5)
    assert rows["dense"]["method"] is None
    assert rows["small"]["structure"] == rows["small on"]["structure"] == "ffn"


def test_what_is_removed_is_what_is_gone(files: dict[str, Path]) -> None:
    rows = {name: provenance(str(files[name])) for name in EXPECTED}
    masks = storage.masks_of(storage.load(files["pruned"]), "pruned")
    assert masks is not None
    counts = sum(map(masks.removed, masks)), sum(map(masks.prunable, masks))
    for name in ("pruned", "retrained", "scratch", "shuffled", "mean", "stripped"):
        assert (rows[name]["removed"], rows[name]["prunable"]) == counts
    # after 3 of 40 updates: s(t) = 0.5 (1 - (1 - 3 / 40)^3)
    assert rows["gradual"]["sparsity"] == pytest.approx(0.5 * (1 - (1 - 3 / 40) ** 3), abs=1e-3)
    assert rows["waiting"]["sparsity"] == 0.0 and rows["waiting"]["target"] == 0.5
    small, units = rows["small"], rows["units"]
    assert (small["removed"], small["prunable"]) == (units["removed"], units["prunable"])
    # four layers lose 16 neurons: their rows, columns and biases
    assert small["parameters_before"] - small["parameters"] == 4 * 16 * (16 + 16 + 1)
    assert rows["small on"]["parameters"] == small["parameters"]


def test_sources_are_the_files_that_it_came_by(files: dict[str, Path]) -> None:
    dense, pruned = sha(files["dense"]), sha(files["pruned"])
    assert provenance(str(files["pruned"]))["sources"] == [dense]
    assert provenance(str(files["retrained"]))["sources"] == [dense, pruned]
    assert provenance(str(files["gradual"]))["sources"] == [dense]
    assert provenance(str(files["small on"]))["sources"] == [
        dense, sha(files["units"]), sha(files["small"])
    ]  # fmt: skip
    (step,) = read_steps(storage.load(files["shuffled"]), "shuffled")
    assert (step.source, step.file, step.facts["of"]) == (dense, "checkpoint_last.pt", pruned)


def test_a_run_that_goes_on_counts_on(files: dict[str, Path], corpus: Path, tmp_path: Path) -> None:
    common = (corpus, *ARCHES["transformer"], *TRAINING, "--save-dir", tmp_path)
    common = (*common, "--finetune-from-model", files["pruned"])
    for updates in (2, 5):
        train_here([*common, "--max-update", updates])
        steps = read_steps(storage.load(tmp_path / "checkpoint_last.pt"), "last")
        assert [step.kind for step in steps] == ["pruned", "trained"]
        counts = {name: steps[1].facts[name] for name in ("updates", "held", "since", "fresh")}
        assert counts == {"updates": updates, "held": updates, "since": updates, "fresh": False}


def test_stock_fairseq_opens_what_has_steps_and_drops_them(
    files: dict[str, Path], corpus: Path, tmp_path: Path
) -> None:
    run("fairseq-generate", corpus, "--path", files["small"], "--cpu", "--beam", 1)
    width = ("--encoder-ffn-embed-dim", 16, "--decoder-ffn-embed-dim", 16, "--max-update", 1)
    run("fairseq-train", corpus, *ARCHES["transformer"], *TRAINING, *width,
        "--save-dir", tmp_path, "--finetune-from-model", files["small"])  # fmt: skip
    row = provenance(str(tmp_path / "checkpoint_last.pt"))
    assert (row["stage"], row["made"], row["sources"]) == ("dense", [], [])


def test_a_plain_run_leaves_no_steps(files: dict[str, Path]) -> None:
    assert STEPS_KEY not in storage.load(files["dense"])["task_state"]


def damaged(path: Path, to: Path, change: Callable[[dict[str, Any]], None]) -> str:
    content = storage.load(path)
    change(content["task_state"])
    torch.save(content, to)
    return str(to)


def test_a_file_of_an_earlier_version_tells_by_its_record(
    files: dict[str, Path], tmp_path: Path
) -> None:
    def older(state: dict[str, Any]) -> None:
        del state[STEPS_KEY]
        state[PRUNE_KEY]["command"] = "fairseq-train DATA --finetune-from-model dense.pt"

    row = provenance(damaged(files["gradual"], tmp_path / "old.pt", older))
    assert (row["stage"], row["scheme"], row["sources"]) == ("retrained", "class-blind", [])

    def applied(state: dict[str, Any]) -> None:
        del state[STEPS_KEY]
        state[PRUNE_KEY]["command"] = "fairseq-prune apply dense.pt --output pruned.pt"

    row = provenance(damaged(files["pruned"], tmp_path / "old.pt", applied))
    assert (row["stage"], row["scheme"]) == ("pruned", "class-blind")


@pytest.mark.parametrize(
    "name, value, said",
    [
        ("kind", "eaten", "a step is 'eaten'"),
        ("source", "abc", "a source is 'abc'"),
        ("file", 3, "a file is '3'"),
        ("recipe", {"scheme": "my own"}, "scheme is 'my own'"),
        ("facts", {"updates": -1}, "updates is '-1'"),
        ("facts", {"parameters": [1]}, "parameters is '[1]'"),
        ("facts", {"x": torch.zeros(1)}, "a note is"),
        ("facts", {"x": "y" * 70_000}, "too many"),
    ],
)
def test_damaged_steps_are_a_sentence(
    files: dict[str, Path], tmp_path: Path, name: str, value: Any, said: str
) -> None:
    def change(state: dict[str, Any]) -> None:
        state[STEPS_KEY]["steps"][0][name] = value

    path = damaged(files["pruned"], tmp_path / "damaged.pt", change)
    with pytest.raises(CheckpointError, match="says of its making is damaged") as error:
        provenance(path)
    assert said in str(error.value)


def test_steps_of_a_later_format_are_refused(files: dict[str, Path], tmp_path: Path) -> None:
    path = damaged(files["pruned"], tmp_path / "later.pt",
                   lambda state: state[STEPS_KEY].update(format=2))  # fmt: skip
    with pytest.raises(CheckpointError, match="format 2; this version"):
        provenance(path)


def test_a_model_full_of_zeros_without_a_record_is_not_dense(
    files: dict[str, Path], tmp_path: Path
) -> None:
    def bare(state: dict[str, Any]) -> None:
        del state[STEPS_KEY], state[PRUNE_KEY]

    row = provenance(damaged(files["pruned"], tmp_path / "bare.pt", bare))
    assert row["stage"] == "unrecorded" and row["zeros"] == pytest.approx(0.5, abs=1e-3)
