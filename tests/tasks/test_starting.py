"""What a run starts from: trained models, masks of others, its own past; and what is refused."""

import pickle
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from fairseq_prune.checkpoints import storage
from tests.conftest import Train, differences

PRUNE = ["--prune-scheme", "class-blind", "--prune-sparsity", 0.6]
SMOOTHED = "label_smoothed_cross_entropy"


def bits(checkpoint: dict[str, Any]) -> str:
    return str(checkpoint["task_state"]["prune"]["masks"]["digest"])


@pytest.fixture
def dense(train: Train, tmp_path: Path) -> Path:
    train(tmp_path / "dense", "--max-update", 2)
    return tmp_path / "dense" / "checkpoint_last.pt"


def test_pruning_after_training_prunes_the_trained_weights(
    train: Train, tmp_path: Path, dense: Path
) -> None:
    from fairseq_prune.network.weights import of_state_dict
    from fairseq_prune.pruning.pruner import Pruner
    from fairseq_prune.pruning.recipe import Recipe
    from fairseq_prune.saliency import Probe

    weights = of_state_dict(storage.load(dense)["model"])
    expected = Pruner(Recipe(scheme="class-blind")).update(0.6, Probe(weights)).masks.digest()
    tuned = train(tmp_path / "tuned", "--max-update", 1, *PRUNE, "--finetune-from-model", dense)
    gone_on = train(tmp_path / "on", "--max-update", 3, *PRUNE, "--restore-file", dense)
    assert bits(tuned) == bits(gone_on) == expected


def test_a_pruned_model_is_retrained_under_its_masks_without_more_flags(
    train: Train, tmp_path: Path
) -> None:
    pruned = train(tmp_path / "pruned", "--max-update", 1, *PRUNE)
    file = tmp_path / "pruned" / "checkpoint_last.pt"
    again = train(tmp_path / "again", "--max-update", 3, "--finetune-from-model", file)
    assert bits(again) == bits(pruned)
    # and the same command, run again, goes on
    on = train(tmp_path / "again", "--max-update", 4, "--finetune-from-model", file)
    assert bits(on) == bits(pruned)
    assert on["optimizer_history"][-1]["num_updates"] == 4
    with pytest.raises(SystemExit, match="^fairseq_prune: --ddp-backend slowmo moves weights "):
        train(tmp_path / "no", "--finetune-from-model", file, "--ddp-backend", "slowmo")
    assert not list((tmp_path / "no").glob("*.pt"))


def test_a_fresh_model_takes_the_masks_of_another(train: Train, tmp_path: Path) -> None:
    pruned = train(tmp_path / "pruned", "--max-update", 2, *PRUNE)
    file = tmp_path / "pruned" / "checkpoint_last.pt"
    flags = ["--prune-mask-from", file, "--seed", 2]
    fresh = train(tmp_path / "fresh", "--max-update", 2, *flags)
    assert bits(fresh) == bits(pruned)
    assert differences(fresh["model"], pruned["model"]) != []
    file.unlink()  # a run that goes on has the masks in its own checkpoint
    assert bits(train(tmp_path / "fresh", "--max-update", 3, *flags)) == bits(pruned)


def test_a_pruned_model_can_be_pruned_further(train: Train, tmp_path: Path) -> None:
    train(tmp_path / "less", "--max-update", 1, *PRUNE)
    file = tmp_path / "less" / "checkpoint_last.pt"
    more = train(
        tmp_path / "more", "--max-update", 1, "--prune-scheme", "class-blind",
        "--prune-sparsity", 0.9, "--finetune-from-model", file,
    )  # fmt: skip
    a, b = (storage.masks_of(c, "") for c in (storage.load(file), more))
    assert a is not None and b is not None
    assert round(b.sparsity(), 3) == 0.9
    assert all(not bool((b[name] & ~a[name]).any()) for name in a)


def test_less_than_what_is_gone_is_refused_before_the_first_update(
    train: Train, tmp_path: Path
) -> None:
    train(tmp_path / "pruned", "--max-update", 1, *PRUNE)
    file = tmp_path / "pruned" / "checkpoint_last.pt"
    half = ["--prune-scheme", "class-uniform", "--prune-sparsity", 0.5]
    ways: list[list[Any]] = [
        [*half, "--finetune-from-model", file],
        [*half, "--prune-schedule", "gradual", "--prune-end", 9, "--finetune-from-model", file],
        [*half, "--prune-mask-from", file],
        [*half, "--prune-override", "--restore-file", file],
    ]
    for number, flags in enumerate(ways):
        with pytest.raises(SystemExit) as end:
            train(tmp_path / str(number), "--max-update", 10, *flags)
        assert str(end.value) == (
            f"fairseq_prune: --prune-sparsity 0.5 is below the 0.6000 that {file} has removed "
            "already, and masks only shrink: ask for more."
        )
        assert not list((tmp_path / str(number)).glob("*.pt"))


def test_masks_of_another_go_beside_those_of_the_model(train: Train, tmp_path: Path) -> None:
    """As for fairseq-prune apply: what both keep."""
    train(tmp_path / "one", "--max-update", 1, *PRUNE)
    train(tmp_path / "other", "--max-update", 1, *PRUNE, "--prune-saliency", "random")
    one, other = (tmp_path / run / "checkpoint_last.pt" for run in ("one", "other"))
    flags = ["--finetune-from-model", one, "--prune-mask-from", other]
    masks = storage.masks_of(train(tmp_path / "both", "--max-update", 1, *flags), "")
    a, b = (storage.masks_of(storage.load(file), "") for file in (one, other))
    assert masks is not None and a is not None and b is not None
    assert masks.digest() == (a & b).digest() != a.digest()
    again = train(tmp_path / "both", "--max-update", 2, *flags)
    assert bits(again) == masks.digest()


def test_uneven_classes_are_made_up_for_in_training(
    train: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shares = tmp_path / "shares.txt"
    shares.write_text("softmax 0.9\n* 0.1\n")
    train(tmp_path / "one", "--max-update", 1, "--prune-scheme", "given", "--prune-given", shares)
    flags = ["--prune-scheme", "class-uniform", "--prune-sparsity", 0.5]
    caplog.set_level("INFO")
    done = train(
        tmp_path / "half", "--max-update", 1, *flags,
        "--finetune-from-model", tmp_path / "one" / "checkpoint_last.pt",
    )  # fmt: skip
    masks = storage.masks_of(done, "")
    assert masks is not None
    assert masks.removed_in_all() == round(0.5 * masks.prunable_in_all())
    assert "softmax had lost 90" in caplog.text and "the other classes lose less" in caplog.text
    assert "pruned at update 0 to 0.5000 of 19,168 prunable weights (asked 0.5000), " in caplog.text
    assert "removed: 50.00% of 19,168 prunable weights (" in caplog.text


def test_weights_that_grew_under_the_masks_are_zeroed_with_a_warning(
    train: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(tmp_path, "--max-update", 1, *PRUNE)
    file = tmp_path / "checkpoint_last.pt"
    broken = storage.load(file)
    broken["model"] = {n: v.clone() + 1e-3 for n, v in broken["model"].items()}
    storage.save(broken, file)
    done = train(tmp_path, "--max-update", 2, *PRUNE)
    masks = storage.masks_of(done, "")
    assert masks is not None
    assert all(int(torch.count_nonzero(done["model"][n][~m])) == 0 for n, m in masks.items())
    assert "non-zero weights under its masks" in caplog.text


class Refused:
    """Runs training that has to end with one sentence, before anything is written."""

    def __init__(self, train: Train, folder: Path) -> None:
        self.train, self.folder = train, folder

    def __call__(self, *flags: Any) -> str:
        with pytest.raises(SystemExit) as end:
            self.train(self.folder, "--max-update", 1, *flags)
        assert not list(self.folder.glob("*.pt"))
        return str(end.value)


@pytest.fixture
def refused(train: Train, tmp_path: Path) -> Refused:
    return Refused(train, tmp_path / "refused")


def test_flags_that_make_no_sense_are_refused(refused: Refused) -> None:
    assert refused("--prune-scheme", "x").startswith("fairseq_prune: --prune-scheme 'x' is unknown")
    assert "has no effect without --prune-scheme" in refused("--prune-sparsity", 0.5)


def test_fully_sharded_is_refused(refused: Refused) -> None:
    assert refused(*PRUNE, "--ddp-backend", "fully_sharded") == (
        "fairseq_prune: --ddp-backend fully_sharded flattens parameters, so that single weights "
        "cannot be pruned; use --ddp-backend legacy_ddp or pytorch_ddp."
    )


def test_what_writes_weights_after_the_step_is_refused(refused: Refused) -> None:
    assert "slowmo moves weights after" in refused(*PRUNE, "--ddp-backend", "slowmo")


def test_saves_that_leave_nothing_to_go_on_from_are_refused(
    refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    # fairseq asks whether it is installed, and uses it at the first save only
    monkeypatch.setitem(sys.modules, "iopath", ModuleType("iopath"))
    said = refused(*PRUNE, "--write-checkpoints-asynchronously")
    assert "leaves no checkpoint_last.pt to go on from" in said


def test_an_exclusion_that_matches_nothing_is_refused(refused: Refused) -> None:
    assert "'softmx' matches no weight" in refused(*PRUNE, "--prune-exclude", "softmx")


def test_excluding_everything_is_refused(refused: Refused) -> None:
    assert "No prunable weight is left" in refused(*PRUNE, "--prune-exclude", ".")


def test_masks_of_another_model_are_refused(train: Train, refused: Refused, tmp_path: Path) -> None:
    train(tmp_path / "other", "--max-update", 1, *PRUNE, "--decoder-out-embed-dim", 8)
    message = refused("--prune-mask-from", tmp_path / "other" / "checkpoint_last.pt")
    assert "are for another model: " in message


def test_masks_of_a_dense_file_are_refused(refused: Refused, dense: Path) -> None:
    assert refused("--prune-mask-from", dense) == (
        f"fairseq_prune: --prune-mask-from {dense} holds no masks: it was never pruned, "
        "or shrink, export or a training without --user-dir fairseq_prune has dropped them."
    )


class Malice:
    def __reduce__(self) -> Any:
        return eval, ("open('/tmp/fairseq_prune_was_here', 'w')",)


def test_a_mask_file_that_would_run_code_is_refused(refused: Refused, tmp_path: Path) -> None:
    file = tmp_path / "evil.pt"
    torch.save({"model": {}, "task_state": Malice()}, file, pickle_module=pickle)
    message = refused("--prune-mask-from", file)
    assert f"{file} is refused: it needs eval" in message
    assert not Path("/tmp/fairseq_prune_was_here").exists()


def test_resuming_with_other_flags_is_refused_and_the_override_named(
    train: Train, tmp_path: Path
) -> None:
    train(tmp_path, "--max-update", 1, *PRUNE)
    file = tmp_path / "checkpoint_last.pt"
    before = file.read_bytes()
    with pytest.raises(SystemExit) as end:
        train(tmp_path, "--max-update", 2, *PRUNE[:3], 0.7)
    assert str(end.value) == (
        f"fairseq_prune: {file} was pruned with other flags: --prune-sparsity 0.7 (in the file: "
        "0.6). Repeat the file's flags to go on with that run, or give --prune-override to go on "
        "with these."
    )
    with pytest.raises(SystemExit, match="--prune-scheme None \\(in the file: class-blind\\)"):
        train(tmp_path, "--max-update", 2)
    assert file.read_bytes() == before


def test_the_override_goes_on_with_the_new_flags(train: Train, tmp_path: Path) -> None:
    train(tmp_path, "--max-update", 1, *PRUNE)
    more = train(tmp_path, "--max-update", 2, *PRUNE[:3], 0.7, "--prune-override")
    masks = storage.masks_of(more, "")
    assert masks is not None and round(masks.sparsity(), 3) == 0.7
    dense = train(tmp_path, "--max-update", 3, "--prune-override")
    assert "prune" not in dense["task_state"]


def test_what_the_flags_lead_to_is_not_blamed_on_the_file(
    train: Train, tmp_path: Path, dense: Path
) -> None:
    """fairseq's trainer builds its optimizer while it loads; this one needs apex."""
    for flags in ([], PRUNE):
        with pytest.raises(ImportError, match="apex"):
            train(tmp_path / "lamb", "--max-update", 1, "--optimizer", "lamb", *flags,
                  "--finetune-from-model", dense)  # fmt: skip
    assert not list((tmp_path / "lamb").glob("*.pt"))


def test_flags_that_differ_from_the_file_s_are_named(
    train: Train, tmp_path: Path, dense: Path
) -> None:
    ways: list[tuple[list[Any], str]] = [
        (["--amp"], "the optimizer FairseqAdam, and these flags give AMPOptimizer: "),
        (["--optimizer", "adafactor"], "FairseqAdam, and these flags give FairseqAdafactor: "),
        (["--criterion", f"{SMOOTHED}_with_alignment"], "the criterion LabelSmoothed"),
        (["--lr-scheduler", "inverse_sqrt"], "--lr-scheduler fixed, and these flags give inverse_"),
    ]
    for flags, sentence in ways:
        with pytest.raises(SystemExit) as end:
            train(tmp_path / "on", "--max-update", 3, "--restore-file", dense, *flags)
        assert f"{dense} was trained with" in str(end.value) and sentence in str(end.value)
        assert "damaged" not in str(end.value)
    anew = ["--lr-scheduler", "inverse_sqrt", "--reset-lr-scheduler"]
    train(tmp_path / "anew", "--max-update", 3, "--restore-file", dense, *anew)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_half_precision_without_a_gpu_is_the_flags_own_fault(
    train: Train, tmp_path: Path, dense: Path
) -> None:
    train(tmp_path / "pruned", "--max-update", 1, *PRUNE)
    starts = ([], ["--finetune-from-model", dense], ["--restore-file", dense])
    for number, start in enumerate(starts):
        out = tmp_path / f"half-{number}"
        with pytest.raises(SystemExit, match="--fp16 keeps its single-precision weights on a GPU"):
            train(out, "--max-update", 3, *PRUNE, "--fp16", *start)
        with pytest.raises(AssertionError, match="CUDA"):  # fairseq's own
            train(out, "--max-update", 3, "--fp16", *start)
        assert not list(out.glob("*.pt"))
    for flags in (["--memory-efficient-fp16"], ["--amp"]):  # these do without
        train(tmp_path / flags[0], "--max-update", 1, *PRUNE, *flags, *starts[1])


@pytest.mark.parametrize("flags", [["--optimizer", "cpu_adam"], ["--zero-sharding", "os"]])
def test_a_package_that_is_missing_is_named_by_who_needs_it(
    flags: list[Any], train: Train, tmp_path: Path, dense: Path
) -> None:
    for start in ([], ["--finetune-from-model", dense], ["--restore-file", dense]):
        with pytest.raises(ImportError, match="pip install"):
            train(tmp_path / "lacks", "--max-update", 3, *PRUNE, *flags, *start)


def test_what_replaces_the_matrices_is_refused(
    refused: Refused, tmp_path: Path, train: Train
) -> None:
    config = tmp_path / "quantization.yaml"
    config.write_text("n_centroids: {}\n")
    sentence = "--quantization-config-path replaces matrices by codebooks while it trains, "
    assert sentence in refused(*PRUNE, "--quantization-config-path", config)
    train(tmp_path / "pruned", "--max-update", 1, *PRUNE)
    pruned = tmp_path / "pruned" / "checkpoint_last.pt"
    flags = ["--finetune-from-model", pruned, "--quantization-config-path", config]
    with pytest.raises(SystemExit, match="replaces matrices by codebooks"):
        train(tmp_path / "again", "--max-update", 3, *flags)
