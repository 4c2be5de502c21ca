"""Bad input: one sentence on stderr, exit code 2, nothing written."""

import os
import pickle
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fairseq_prune.checkpoints.storage import prune_state
from tests.cli.conftest import BLIND_HALF
from tests.cli.models import EMBEDDING, FC, checkpoint, read, write

BLIND = ("--prune-scheme", "class-blind")
CLASSES = "shared-embedding, source-layer-1.self-attention, target-layer-1.ffn"
SCHEMES = "class-blind, class-distribution, class-uniform, erk or given"


@pytest.fixture
def refused(call, dense, tmp_path):
    """Calls the command line, which has to refuse; gives its sentence."""

    def run(*arguments) -> str:
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        code, out, err = call(*arguments)
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
        assert (code, out, err.count("\n")) == (2, "", 1), (code, out, err)
        assert err.startswith("fairseq-prune: ")
        return err.removeprefix("fairseq-prune: ").rstrip("\n")

    return run


@pytest.fixture
def apply(refused, dense, tmp_path):
    """Calls apply with these flags, which has to refuse; gives its sentence."""
    return lambda *flags: refused("apply", dense, "--output", tmp_path / "out.pt", *flags)


@pytest.mark.parametrize("sparsity", ["1.0", "-0.1", "80.0", "nan", "inf"])
def test_a_sparsity_outside_of_zero_to_one(sparsity, apply):
    assert apply(*BLIND, f"--prune-sparsity={sparsity}") == (
        f"--prune-sparsity {sparsity} is outside [0, 1): it is the fraction of weights "
        "to remove, e.g. 0.8 for 80%."
    )


def test_an_unknown_scheme_lists_the_known(apply):
    sentence = apply("--prune-scheme", "lottery")
    assert sentence == f"--prune-scheme 'lottery' is unknown; choose {SCHEMES}."


def test_an_unknown_saliency_lists_the_known(apply):
    assert apply(*BLIND, "--prune-saliency", "luck") == (
        "--prune-saliency 'luck' is unknown; choose magnitude, random, snip, taylor, grasp, obd, "
        "obd-hutchinson, obd-adam, wanda, synflow, gate, n2ps, goodness-factor, consuming-energy, "
        "weights-power, mutual-information, leave-one-out or angular-distance."
    )


def test_a_saliency_that_needs_data_without_any(apply):
    assert apply(*BLIND, "--prune-saliency", "snip") == (
        "--prune-saliency snip scores on data: give --data DATA, the binarised folder that "
        "fairseq-train would take."
    )


def test_a_schedule_needs_training_whatever_else_it_needs(apply):
    assert apply(*BLIND, "--prune-schedule", "gradual").startswith(
        "--prune-schedule gradual needs training, and apply does none: "
    )


@pytest.mark.parametrize("flag", ["saliency", "ratios", "schedule"])
def test_sensitivity_knows_no_such_name(flag, refused, dense):
    said = refused("sensitivity", dense, "--data", "somewhere", f"--prune-{flag}", "luck")
    assert said.startswith(f"--prune-{flag} 'luck' is unknown; choose ")


def test_a_subset_that_is_a_path(refused, dense, tmp_path):
    for command in ("evaluate", "bench", "sensitivity"):
        data = tmp_path / command
        data.mkdir()
        (data / "dict.de.txt").touch()
        subset = "--subset" if command == "sensitivity" else "--gen-subset"
        said = refused(command, dense, "--data", data, subset, data / "test")
        assert said.startswith(f"--data {data} has no subset ")


def test_results_below_a_file(refused, dense, tmp_path):
    data = tmp_path / "bin"
    data.mkdir()
    for name in ("dict.de.txt", "test.de-en.de.idx", "valid.de-en.de.idx"):
        (data / name).touch()
    said = refused("evaluate", dense, "--data", data, "--output", f"{dense}/rows.jsonl")
    assert said.startswith(f"--output {dense}/rows.jsonl cannot be written: ")


def test_data_that_is_not_there(apply, tmp_path):
    missing = str(tmp_path / "nothing")
    sentence = apply(*BLIND, "--prune-saliency", "snip", "--data", missing)
    assert f"with --data {missing}: " in sentence


def test_adams_moments_where_there_are_none(apply):
    sentence = apply(*BLIND, "--prune-saliency", "obd-adam")
    assert "has no second moments of Adam for all its weights" in sentence


def test_batches_to_score_on(apply):
    data = ("--prune-saliency", "snip", "--data", "somewhere")
    assert apply(*BLIND, *data, "--prune-score-batches", "0") == (
        "--prune-score-batches 0 must be a number of batches, 1 or more."
    )
    assert apply(*BLIND, "--prune-score-batches", "5").startswith(
        "--prune-score-batches has no effect with --prune-saliency magnitude, which needs no data;"
    )


def test_unknown_classes(apply):
    assert apply(*BLIND, "--prune-classes", "colour").startswith(
        "--prune-classes colour is neither one of paper, layer, component, tensor nor a readable "
        "text file of rules ("
    )


def test_an_exclusion_that_matches_nothing_lists_the_classes(apply):
    assert apply(*BLIND, "--prune-exclude", "softmax") == (
        f"--prune-exclude 'softmax' matches no weight; the classes are: {CLASSES}."
    )


def test_nothing_left_to_prune(apply):
    assert apply(*BLIND, "--prune-exclude", ".").startswith("No prunable weight is left: ")


def test_no_scheme(apply):
    assert apply() == (
        "Nothing says how to prune: give --prune-scheme, or --prune-mask-from FILE for the "
        "masks of another checkpoint."
    )


def test_a_sparsity_without_a_scheme(apply):
    assert apply("--prune-sparsity", "0.5").startswith(
        "--prune-sparsity has no effect without --prune-scheme ("
    )


@pytest.mark.parametrize(
    "flags, named",
    [
        (("--prune-schedule", "gradual", "--prune-end", "5"), "--prune-end"),
        (("--prune-start", "3"), "--prune-start"),
    ],
)
def test_a_schedule_needs_training(flags, named, apply):
    assert apply(*BLIND, *flags) == (
        f"{named} needs training, and apply does none: give it to fairseq-train --user-dir "
        "fairseq_prune, or leave it out to prune at once."
    )


def test_a_flag_that_is_no_number(apply):
    assert apply(*BLIND, "--prune-sparsity", "half") == (
        "argument --prune-sparsity: invalid float value: 'half'; see fairseq-prune apply --help."
    )


def test_abbreviated_flags_are_not_guessed(apply):
    sentence = apply(*BLIND, "--prune-sp", "0.5")
    assert sentence == "unrecognized arguments: --prune-sp 0.5; see fairseq-prune --help."


def test_no_output(refused, dense):
    assert refused("apply", dense, *BLIND) == (
        "apply needs --output OUT for the pruned checkpoint, or --dry-run."
    )


def test_an_output_that_exists(refused, dense, pruned):
    assert refused("apply", dense, "--output", pruned, *BLIND) == (
        f"--output {pruned} exists; give --force to replace it."
    )


def test_an_output_that_exists_is_refused_before_the_checkpoint_is_read(refused, dense):
    assert "exists" in refused("apply", "missing.pt", "--output", dense, *BLIND)


def test_an_output_that_is_a_folder(refused, dense, tmp_path):
    assert refused("apply", dense, "--output", tmp_path, "--force", *BLIND) == (
        f"--output {tmp_path} is a folder; give the name of a file in it."
    )


def test_an_output_that_is_no_ordinary_file(refused, dense, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert refused("apply", dense, "--output", tmp_path / "pipe", "--force", *BLIND) == (
        f"--output {tmp_path}/pipe is no ordinary file; give the name of one."
    )


def test_an_output_below_a_file(refused, dense):
    assert refused("apply", dense, "--output", f"{dense}/out.pt", *BLIND) == (
        f"--output {dense}/out.pt cannot be written: {dense} is no writable folder."
    )


def test_masks_from_a_dense_file(apply, dense):
    assert apply("--prune-mask-from", dense) == (
        f"--prune-mask-from {dense} holds no masks: it was never pruned, or shrink, export or "
        "a training without --user-dir fairseq_prune has dropped them."
    )


def test_masks_of_a_model_with_other_names(refused, pruned, tmp_path):
    content = checkpoint()
    content["model"]["decoder.layers.1.fc1.weight"] = content["model"].pop(FC)
    path = write(tmp_path / "other.pt", content)
    assert refused("apply", path, "--dry-run", "--prune-mask-from", pruned) == (
        f"The masks in {pruned} are for another model: it has no weight {FC}."
    )


def test_masks_of_a_model_with_other_shapes(refused, pruned, tmp_path):
    content = checkpoint()
    content["model"][FC] = torch.ones(4, 8)
    path = write(tmp_path / "other.pt", content)
    assert refused("apply", path, "--dry-run", "--prune-mask-from", pruned) == (
        f"The masks in {pruned} are for another model: {FC} is (16, 8) there and (4, 8) here."
    )


def test_less_sparsity_than_there_is(refused, pruned):
    assert refused("apply", pruned, "--dry-run", *BLIND, "--prune-sparsity", "0.4") == (
        f"--prune-sparsity 0.4 is below the 0.5000 that {pruned} has removed "
        "already, and masks only shrink: ask for more."
    )


def test_an_exclusion_of_what_is_pruned_already(refused, pruned):
    flags = (*BLIND, "--prune-exclude", "shared-embedding")
    assert refused("apply", pruned, "--dry-run", *flags) == (
        f"--prune-exclude leaves out {EMBEDDING}, of which {pruned} has masks already; masks only "
        "shrink: exclude what was excluded before."
    )


def test_weights_that_are_not_numbers(refused, tmp_path):
    content = checkpoint()
    content["model"][FC][3, 3] = float("nan")
    path = write(tmp_path / "nan.pt", content)
    sentence = refused("apply", path, "--output", tmp_path / "out.pt", *BLIND)
    assert sentence == f"the score of {FC} holds NaN: it cannot be ranked."


COMMANDS = [
    ("apply", "--dry-run", *BLIND),
    ("inspect",),
    ("verify",),
    ("average", "--output", "out.pt"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_missing_file(command, refused):
    sentence = refused(*command, "missing.pt")
    assert sentence == "missing.pt is not a file; give the path of a fairseq checkpoint."


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_truncated_file(command, refused, dense, tmp_path):
    short = tmp_path / "short.pt"
    short.write_bytes(Path(dense).read_bytes()[:2000])
    sentence = refused(*command, short)
    assert sentence.startswith(f"{short} cannot be read: it is truncated or damaged (")
    assert sentence.endswith(").") and ". " not in sentence


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_file_that_is_no_checkpoint(command, refused, tmp_path):
    path = write(tmp_path / "list.pt", [1, 2])
    assert refused(*command, path) == (
        f"{path} is not a fairseq checkpoint: it has no `model` entry."
    )


@pytest.mark.parametrize("text", [b"", b"BLEU = 25.1\n" * 50], ids=["empty", "text"])
def test_a_file_of_something_else(text, refused, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_bytes(text)
    assert str(path) in refused("inspect", path)


class Payload:
    """Unpickling it would make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.system, (f"mkdir {self.folder}",)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_pickle_that_would_run_code_is_refused_and_not_run(command, zipped, refused, tmp_path):
    folder = tmp_path / "ran"
    content = {**checkpoint(), "extra_state": Payload(folder)}
    path = tmp_path / "evil.pt"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    assert refused(*command, path) == (
        f"{path} is refused: it needs posix.system, which a fairseq checkpoint has no use "
        "for and which could run code; get the file from somebody you trust and save it again."
    )
    assert not folder.exists()


def test_a_bare_pickle_that_would_run_code_is_refused_and_not_run(refused, tmp_path):
    path, folder = tmp_path / "evil.pt", tmp_path / "ran"
    path.write_bytes(pickle.dumps(Payload(folder)))
    refused("inspect", path)
    assert not folder.exists()


def test_masks_of_a_later_format(refused, pruned, tmp_path):
    content = read(pruned)
    prune_state(content)["format"] = 9
    path = write(tmp_path / "later.pt", content)
    assert refused("inspect", path) == (
        f"The masks in {path} have format 9; this version of fairseq_prune reads format 1: "
        "install the version that wrote the file."
    )


@pytest.mark.parametrize("key", ["config", "classes", "acted", "extremes", "parameters"])
def test_a_damaged_record(key, refused, pruned, tmp_path):
    content = read(pruned)
    del prune_state(content)[key]
    path = write(tmp_path / "damaged.pt", content)
    assert refused("inspect", path) == (
        f"What {path} says of its pruning is damaged (KeyError: '{key}')."
    )


def test_an_unknown_command(refused):
    assert refused("prune").startswith("'prune' is no command; prune by apply, or by retrain, ")
    assert refused("evalute").startswith("'evalute' is no command; is it evaluate")
    assert refused("no-such").startswith("'no-such' is no command; there are apply, retrain, ")


@pytest.mark.parametrize("command", ["apply", "average"])
def test_a_disk_without_room_is_seen_before_any_work(
    command, refused, dense, tmp_path, monkeypatch
):
    flags = BLIND_HALF if command == "apply" else ()
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=1000))
    needed = (20 * 8 + 8 * 8 + 16 * 8) * 4
    output = tmp_path / "out.pt"
    assert refused(command, dense, "--output", output, *flags) == (
        f"--output {output} needs {needed / 1000:.1f} kB and its disk has 1.0 kB left: make room, "
        "or write elsewhere."
    )


@pytest.mark.parametrize("command", ["apply", "average"])
def test_a_full_disk_leaves_nothing_behind(command, tmp_path):
    content = checkpoint()
    content["model"]["decoder.layers.0.fc2.weight"] = torch.randn(500, 500)
    path = write(tmp_path / "dense.pt", content)
    flags = BLIND_HALF if command == "apply" else ()

    def small_files_only() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = subprocess.run(
        [sys.executable, "-m", "fairseq_prune.cli.main", command, path,
         "--output", tmp_path / "out.pt", *flags],
        capture_output=True, text=True, preexec_fn=small_files_only, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"fairseq-prune: {tmp_path}/out.pt could not be written: no space is left on the disk.\n"
    )
    assert [p.name for p in tmp_path.iterdir()] == ["dense.pt"]


def test_a_runs_folder_is_answered_by_its_checkpoint(tmp_path, dense, call):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "checkpoint_best.pt").write_bytes(Path(dense).read_bytes())
    code, _, err = call("inspect", folder)
    assert code == 2
    assert err.endswith(f"checkpoint, such as {folder}/checkpoint_best.pt.\n")
