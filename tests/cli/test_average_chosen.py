"""fairseq-prune average --newest and --best: which files of a run's folder are taken."""

from pathlib import Path
from typing import Any

import pytest
import torch

from fairseq_prune.checkpoints.newest import best, newest
from tests.cli.models import NAMES, checkpoint, read, write
from tests.conftest import ARCHES, TRAINING, train_here


def save(path: Path, updates: int = 0, seed: int = 1, metric: str = "loss", **more: Any) -> str:
    """A file as a run saves it after so many updates."""
    content = checkpoint(updates)
    content["optimizer_history"][-1]["num_updates"] = updates
    saving = {"best_checkpoint_metric": metric, "maximize_best_checkpoint_metric": metric == "bleu"}
    content["cfg"] |= {"common": {"seed": seed}, "checkpoint": saving}
    content["cfg"]["model"] = {**content["cfg"]["model"], **more}
    return write(path, content)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A run of twelve epochs, with files of updates, of bests, and some that are none of these."""
    run = tmp_path / "run"
    run.mkdir()
    for epoch in range(1, 13):
        save(run / f"checkpoint{epoch}.pt", epoch * 100)
    for epoch, update in ((1, 50), (9, 850), (10, 950), (11, 1050)):
        save(run / f"checkpoint_{epoch}_{update}.pt", update)
    for name in ("last", "best", "1-shard0", "9-rank-1", "13.tmp", "x"):
        save(run / f"checkpoint_{name}.pt", 9999)
    save(run / "earlier.checkpoint99.pt", 5)
    save(run / "checkpoint100.pt.tmp", 5)
    return run


@pytest.fixture
def refused(call, tmp_path):
    """Averages with these arguments, which has to be refused; gives the sentence."""

    def run(*arguments: Any) -> str:
        code, out, err = call("average", *arguments, "--output", tmp_path / "mean.pt")
        assert (code, out, err.count("\n")) == (2, "", 1) and not (tmp_path / "mean.pt").exists()
        return err.removeprefix("fairseq-prune: ").rstrip("\n")

    return run


def names(paths: list[str]) -> list[str]:
    return [Path(path).name for path in paths]


def test_the_newest_are_those_of_the_highest_numbers_not_of_the_last_letters(folder):
    assert names(newest(str(folder), 4, "epoch")) == [
        f"checkpoint{n}.pt" for n in (9, 10, 11, 12)
    ]  # fmt: skip
    assert names(newest(str(folder), 2, "epoch", 10)) == ["checkpoint9.pt", "checkpoint10.pt"]
    assert names(newest(str(folder), 3, "update")) == [
        "checkpoint_9_850.pt", "checkpoint_10_950.pt", "checkpoint_11_1050.pt"
    ]  # fmt: skip
    assert names(newest(str(folder), 2, "update", 1049)) == [
        "checkpoint_9_850.pt", "checkpoint_10_950.pt"
    ]  # fmt: skip


def test_the_mean_is_that_of_the_files_by_name_and_they_are_said(folder, tmp_path, call):
    paths = [str(folder / f"checkpoint{n}.pt") for n in (10, 11, 12)]
    code, out, err = call("average", folder, "--newest", 3, "--output", tmp_path / "newest.pt")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == f"averaged, oldest to newest: {' '.join(paths)}"
    call("average", *paths, "--output", tmp_path / "named.pt")
    one, two = read(tmp_path / "newest.pt"), read(tmp_path / "named.pt")
    assert all(torch.equal(one["model"][name], two["model"][name]) for name in NAMES)
    assert one["optimizer_history"] == two["optimizer_history"]
    assert one["optimizer_history"][-1]["num_updates"] == 1200


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_mean_is_that_of_fairseqs_script(count, folder, tmp_path, call):
    """Its sums are float32, the newest file first: ours may differ by their rounding alone."""
    call("average", folder, "--newest", count, "--output", tmp_path / "mean.pt")
    models = [read(folder / f"checkpoint{12 - n}.pt")["model"] for n in range(count)]
    for name in NAMES:
        summed, exact = models[0][name].clone(), models[0][name].double()
        for other in models[1:]:
            summed += other[name]
            exact += other[name].double()
        mean = read(tmp_path / "mean.pt")["model"][name]
        assert torch.equal(mean, (exact / count).float())
        script = summed.div_(count)
        assert torch.equal(mean, script) if count == 2 else torch.allclose(mean, script, 1e-6, 1e-7)


def scores(run: Path, metric: str, **by_score: int) -> None:
    for score, updates in by_score.items():
        name = f"checkpoint.best_{metric}_{score[1:].replace('_', '.')}.pt"
        save(run / name, updates, metric=metric)


def test_the_best_are_those_of_the_lowest_loss(tmp_path):
    scores(tmp_path, "loss", _9_1230=100, _10_0001=300, _4_5002=200, _4_5001=400)
    found = names(best(str(tmp_path), 3))
    assert found == [
        "checkpoint.best_loss_9.1230.pt", "checkpoint.best_loss_4.5002.pt",
        "checkpoint.best_loss_4.5001.pt",
    ]  # fmt: skip


def test_the_best_are_those_of_the_highest_bleu_where_the_files_say_so(tmp_path, call):
    run = tmp_path / "run"
    run.mkdir()
    scores(run, "bleu", _9_1230=100, _10_0001=300, _4_5002=200)
    save(run / "earlier.checkpoint.best_bleu_99.0001.pt", 1, metric="bleu")
    assert names(best(str(run), 2)) == [
        "checkpoint.best_bleu_9.1230.pt", "checkpoint.best_bleu_10.0001.pt"
    ]  # fmt: skip
    code, out, _ = call("average", run, "--best", 1, "--output", tmp_path / "mean.pt")
    assert code == 0
    assert out.splitlines()[0].endswith("newest: " + str(run / "checkpoint.best_bleu_10.0001.pt"))


def test_fewer_than_asked_for(folder, refused):
    assert refused(folder, "--newest", 13) == (
        f"{folder} has 12 checkpoints by epoch (checkpointN.pt), fewer than the 13 that are asked "
        "for; give a smaller number, or name the files to average."
    )
    assert refused(folder, "--newest", 3, "--up-to", 2) == (
        f"{folder} has 2 checkpoints by epoch (checkpointN.pt) up to epoch 2, fewer than the 3 "
        "that are asked for; it has 4 by update: add --by update."
    )
    assert refused(folder, "--newest", 5, "--by", "update") == (
        f"{folder} has 4 checkpoints by update (checkpoint_EPOCH_N.pt), fewer than the 5 that are "
        "asked for; it has 12 by epoch: add --by epoch."
    )
    save(folder / "earlier.checkpoint.best_loss_1.0001.pt", 1)
    assert refused(folder, "--best", 1) == (
        f"{folder} has 0 best checkpoints (checkpoint.best_METRIC_SCORE.pt) (1 more, earlier.*, "
        "are of another sparsity and do not count), fewer than the 1 that are asked for; "
        "fairseq-train keeps so many with --keep-best-checkpoints 1."
    )


def test_best_of_two_metrics_or_of_two_minds(tmp_path, refused):
    run = tmp_path / "run"
    run.mkdir()
    scores(run, "bleu", _9_1230=100)
    scores(run, "loss", _9_1230=100)
    assert refused(run, "--best", 1) == (
        f"{run} has best checkpoints by bleu and by loss, whose scores do not compare: name the "
        "files to average."
    )
    (run / "checkpoint.best_loss_9.1230.pt").rename(run / "checkpoint.best_bleu_8.1230.pt")
    assert refused(run, "--best", 1) == (
        f"Some of the best checkpoints in {run} say that a higher bleu is better, and others a "
        "lower: they are of different runs; name the files to average."
    )


def test_files_of_two_runs_in_one_folder(folder, refused):
    save(folder / "checkpoint11.pt", 1100, seed=7)
    one = folder / "checkpoint11.pt"
    assert refused(folder, "--newest", 2) == (
        f"{one} and checkpoint12.pt have the seeds 7 and 1: they are of different runs; name the "
        "files to average them all the same."
    )
    save(folder / "checkpoint11.pt", 1200)
    assert refused(folder, "--newest", 2) == (
        f"{one} and checkpoint12.pt have 1,200 and 1,200 updates: they are of different runs; "
        "name the files to average them all the same."
    )


def test_equal_shapes_are_not_equal_models(folder, refused):
    one, two = folder / "checkpoint11.pt", folder / "checkpoint12.pt"
    save(one, 1100, encoder_attention_heads=2)
    save(two, 1200, encoder_attention_heads=4)
    sentence = f"{one} and {two} are different models: encoder_attention_heads is 2 in the first "
    assert refused(one, two) == f"{sentence}and 4 in the second."
    save(two, 1200, _name="transformer_wmt_en_de")
    assert refused(one, two) == (
        f"{one} and {two} are different models: architecture is transformer in the first and "
        "transformer_wmt_en_de in the second."
    )


def test_a_damaged_file_is_named(folder, refused):
    path = folder / "checkpoint11.pt"
    path.write_bytes(path.read_bytes()[:200])
    assert refused(folder, "--newest", 2).startswith(f"{path} cannot be read: ")


def test_flags_that_do_not_go_together(folder, refused, tmp_path):
    assert refused(folder) == (
        f"{folder} is a folder: give --newest N or --best N to say which of its checkpoints to "
        "average."
    )
    assert refused(folder, "--best", 1, "--by", "epoch") == (
        "--by and --up-to say which are the newest: give --newest N."
    )
    assert refused(folder, "--newest", 0) == "--newest 0 must be 1 or more."
    assert refused(folder, folder, "--newest", 2) == (
        "--newest takes one folder, not 2 names: give that of the run."
    )
    path = folder / "checkpoint1.pt"
    assert refused(path, "--newest", 2) == (
        f"{path} cannot be listed (Not a directory): give the folder of one run, its --save-dir."
    )


def test_the_files_of_a_real_run(corpus, tmp_path, call):
    flags = ("--max-epoch", 4, "--save-interval-updates", 2, "--keep-best-checkpoints", 3)
    epochs = [flag for flag in TRAINING if flag != "--no-epoch-checkpoints"]
    assert len(epochs) == len(TRAINING) - 1
    run = tmp_path / "run"
    train_here([corpus, *ARCHES["transformer"], *epochs, "--save-dir", run, *flags])
    for which in (("--newest", 3), ("--newest", 2, "--by", "update"), ("--best", 2)):
        code, out, err = call("average", run, *which, "--output", tmp_path / "m.pt", "--force")
        assert (code, err) == (0, "") and f"the mean of {which[1]} checkpoints" in out, out
