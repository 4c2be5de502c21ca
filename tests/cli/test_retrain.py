"""fairseq-prune retrain: a trained model is pruned and trained on, as it was trained."""

import shlex
import shutil
from pathlib import Path

import pytest

from fairseq_prune.cli._watching import told
from fairseq_prune.maths.select import round_count
from fairseq_prune.tasks.opening import open_checkpoint
from tests.conftest import LSTM, TRAINING, audit_of, differences, read, run, trained

LENGTH = "--max-epoch 3 --lr-scheduler inverse_sqrt --warmup-updates 6".split()


@pytest.fixture(scope="module")
def dense(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that stock fairseq has trained for three epochs."""
    folder = tmp_path_factory.mktemp("dense")
    run("fairseq-train", corpus, *LSTM, *TRAINING, *LENGTH, "--save-dir", folder / "run")
    return Path(shutil.copy(folder / "run" / "checkpoint_best.pt", folder / "dense.pt"))


PRUNE = ("--prune-scheme", "class-distribution", "--prune-sparsity", "0.5")


def test_it_prunes_and_retrains_and_is_the_command_that_it_prints(
    dense: Path, corpus: Path, tmp_path: Path
) -> None:
    out = run("fairseq-prune", "retrain", dense, "--data", corpus, *PRUNE)
    folder = dense.with_name("dense-class-distribution-50")
    best = folder / "checkpoint_best.pt"
    found = audit_of(str(best))
    assert found.ok and found.removed == round_count(0.5, found.prunable)
    line = next(line for line in out.splitlines() if line.startswith("fairseq-train "))
    words = shlex.split(line)
    assert words[words.index("--max-epoch") + 1] == "1"
    assert words[words.index("--lr") + 1] == "0.005"
    assert words[words.index("--warmup-updates") + 1] == "2"
    assert f"{best}: " in out and "50.00% of the prunable weights removed" in out
    told_after = out[out.index("to score it: ") :].splitlines()[0]
    assert f"evaluate {dense} {best} --data {corpus} --output results.jsonl" in told_after
    assert "valid loss" in out and "pruned at update 0 to 0.5000" in out  # while it ran

    words[words.index("--save-dir") + 1] = str(tmp_path / "by-hand")
    run(*words)
    by_hand = read(tmp_path / "by-hand" / "checkpoint_best.pt")
    assert not differences(trained(read(best)), trained(by_hand))

    before = best.read_bytes()
    again = run("fairseq-prune", "retrain", dense, "--data", corpus, *PRUNE)
    assert best.read_bytes() == before and "was finished before" in again
    changed = ["--dry-run", "--epochs", 2]
    assert "--max-epoch 2" in run(
        "fairseq-prune", "retrain", dense, "--data", corpus, *changed, *PRUNE
    )
    other = [dense, "--data", corpus, *PRUNE, "--dropout", "0.5"]
    refused = run("fairseq-prune", "retrain", *other, fails=True)
    assert "begun with other settings: " in refused and "--dropout 0.5 (there: " in refused


def test_what_is_pruned_already_is_held(dense: Path, corpus: Path, tmp_path: Path) -> None:
    pruned = tmp_path / "pruned.pt"
    run("fairseq-prune", "apply", dense, "--output", pruned, *PRUNE)
    masks = open_checkpoint(str(pruned)).masks
    assert masks is not None
    run("fairseq-prune", "retrain", pruned, "--data", corpus, "--max-update", 4)
    after = open_checkpoint(str(tmp_path / "pruned-retrained" / "checkpoint_best.pt"))
    assert after.masks is not None and after.masks.digest() == masks.digest()
    assert read(Path(after.path))["optimizer_history"][-1]["num_updates"] == 4


def test_a_shrunk_model_is_trained_as_it_is(dense: Path, corpus: Path, tmp_path: Path) -> None:
    pruned, small = tmp_path / "pruned.pt", tmp_path / "small.pt"
    units = ("--prune-scheme", "class-uniform", "--prune-structure", "hidden")
    run("fairseq-prune", "apply", dense, "--output", pruned, *units, "--prune-sparsity", 0.5)
    run("fairseq-prune", "shrink", pruned, "--output", small)
    out = run("fairseq-prune", "retrain", small, "--data", corpus, "--output", tmp_path / "out")
    made = read(tmp_path / "out" / "checkpoint_best.pt")["model"]
    assert {k: v.shape for k, v in made.items()} == {
        k: v.shape for k, v in read(small)["model"].items()
    }
    assert "to score it" in out


def test_the_dense_control_is_asked_for_by_name(dense: Path, corpus: Path, tmp_path: Path) -> None:
    refused = run("fairseq-prune", "retrain", dense, "--data", corpus, fails=True)
    assert "is not pruned, and no flag prunes it: give --prune-scheme" in refused
    out = run("fairseq-prune", "retrain", dense, "--data", corpus, "--dense", "--dry-run")
    assert "--finetune-from-model" in out and "--prune" not in out
    assert not dense.with_name("dense-longer").exists()
    out = run(
        "fairseq-prune", "retrain", dense, "--data", corpus, "--dense", "--output", tmp_path / "on"
    )
    assert "--tag stage=dense,longer" in out
    assert open_checkpoint(str(tmp_path / "on" / "checkpoint_best.pt")).masks is None


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--save-dir", "x"], "leave --save-dir out: checkpoints go to --output DIR"),
        (["--arch=lstm"], "leave --arch out: the architecture is that of CHECKPOINT"),
        (["--prune-sparsty=0.5"], "arguments: --prune-sparsty=0.5; is it --prune-sparsity?"),
        (["another.pt"], "'another.pt' belongs to no flag"),
        (["--epochs", "0"], "--epochs 0 must be 1 or more"),
        (["--epochs", "1", "--max-epoch", "2"], "say the same"),
        (["--dense"], "--dense prunes nothing: leave it out, or --prune-scheme"),
        (["--prune-sparsity", "1.5"], "--prune-sparsity 1.5"),
        (["--data", "nowhere"], "--data nowhere is no folder"),
        (["--data", "/tmp"], "--data /tmp has no dictionary and training data"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(
    words: list[str], sentence: str, dense: Path, corpus: Path, tmp_path: Path
) -> None:
    given = ["--data", corpus, *PRUNE, "--output", tmp_path / "out", *words]
    refused = run("fairseq-prune", "retrain", dense, *given, fails=True)
    assert sentence in refused and "Traceback" not in refused
    assert not (tmp_path / "out").exists()


def test_data_of_other_dictionaries_are_refused(dense: Path, corpus: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(corpus, tmp_path / "data"))
    for path in data.glob("dict.*.txt"):
        path.write_text(path.read_text() + "another 1\n")
    given = ["--data", data, *PRUNE, "--output", tmp_path / "out"]
    refused = run("fairseq-prune", "retrain", dense, *given, fails=True)
    assert f"cannot be trained on --data {data}: its" in refused and "is for" in refused
    assert not (tmp_path / "out").exists()


def test_a_training_that_fails_says_why(dense: Path, corpus: Path, tmp_path: Path) -> None:
    given = ["--data", corpus, *PRUNE, "--output", tmp_path / "out", "--max-tokens", 2]
    refused = run("fairseq-prune", "retrain", dense, *given, fails=True)
    assert "fairseq-train failed with exit code" in refused and "train.log ends:" in refused
    again = run("fairseq-prune", "retrain", dense, *given[:-1], 500, "--max-update", 1)
    assert "starts" in again  # nothing was saved, so that other words are welcome


def test_a_folder_of_others_is_left_alone(dense: Path, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoint_last.pt").write_bytes(b"mine")
    given = ["--data", corpus, *PRUNE, "--output", tmp_path]
    assert "holds other files already" in run("fairseq-prune", "retrain", dense, *given, fails=True)
    assert (tmp_path / "checkpoint_last.pt").read_bytes() == b"mine"


VALID = (
    "2026-11-30 10:00:00 | INFO | valid | epoch 002 | valid on 'valid' subset | loss 2.002 | "
    "nll_loss 0.518 | ppl 1.43 | wps 13562.7 | sparsity 60 | num_updates 530 | best_loss 2"
)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (VALID, "epoch 2, update 530: valid loss 2.002, nll_loss 0.518, ppl 1.43"),
        ("2026-11-30 10:00:00 | INFO | fairseq_prune | pruned at update 3", "pruned at update 3"),
        ("2026-11-30 10:00:00 | WARNING | fairseq.x | odd", "warning: odd"),
        ("2026-11-30 10:00:00 | INFO | fairseq_cli.train | {'_name': None}", None),
        ("(embed): Embedding(3, 4)", None),
    ],
)
def test_what_is_told_of_a_log(line: str, sentence: str | None) -> None:
    assert told(line) == sentence
