"""A method that somebody else registers: it prunes, saves, verifies, trains and goes on."""

import os
from pathlib import Path

import pytest
import torch

from tests.cli.conftest import Call
from tests.cli.models import masks_in
from tests.conftest import TRAINING, TRANSFORMER, run

MINE = """
import fairseq_prune


@fairseq_prune.register_saliency("worth", summary="the square of the weight", paper="Mine 2026")
def worth(probe):
    return {name: weight.effective() ** 2 for name, weight in probe.weights.items()}


@fairseq_prune.register_scheme("like-blind", summary="as many of each tensor")
def like_blind(scores, sparsity, classes):
    total = sum(score.numel_prunable for score in scores.values())
    left, kept = round(sparsity * total), {}
    for name, score in scores.items():
        gone = min(left, round(sparsity * score.numel_prunable))
        kept[name], left = score.numel_alive - gone, left - gone
    first = next(iter(kept))
    kept[first] -= left
    return kept
"""
FLAGS = ("--prune-scheme", "like-blind", "--prune-saliency", "worth", "--prune-sparsity", 0.5)


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugin") / "mine"
    folder.mkdir()
    (folder / "__init__.py").write_text(MINE)
    return folder


@pytest.fixture(scope="module")
def dense(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dense")
    run("fairseq-train", corpus, *TRANSFORMER, *TRAINING, "--max-update", 2, "--save-dir", folder)
    return folder / "checkpoint_last.pt"


@pytest.mark.parametrize(
    ("key", "name"),
    [("saliency", "worth"), ("scheme", "of-mine"), ("schedule", "later"), ("structure", "ring")],
)
def test_a_file_of_a_method_that_is_not_here_is_opened_verified_and_held(
    key: str, name: str, pruned: str, call: Call, tmp_path: Path
) -> None:
    content = torch.load(pruned, weights_only=False)
    content["task_state"]["prune"]["config"][key] = name
    for step in content["task_state"]["prune_steps"]["steps"]:
        step["recipe"][key] = name
    torch.save(content, pruned)
    code, out, _ = call("verify", pruned)
    assert code == 0 and f"made with the {key} {name} (fairseq_prune " in out
    code, out, _ = call("verify", pruned, "--expect", "0.5")
    assert code == 0
    code, out, _ = call("inspect", pruned)
    assert code == 0 and name in out
    other = tmp_path / "other.pt"
    code, out, err = call("apply", pruned, "--output", other, "--prune-mask-from", pruned)
    assert code == 0, err
    assert masks_in(other).digest() == masks_in(pruned).digest()
    assert call("shrink", pruned, "--output", tmp_path / "small.pt")[0] in (0, 2)
    assert call("export", pruned, "--output", tmp_path / "x.pt", "--format", "checkpoint")[0] == 0


@pytest.mark.slow
def test_a_method_of_a_user_dir_is_one_of_ours(
    mine: Path, dense: Path, corpus: Path, tmp_path: Path
) -> None:
    pruned, own = tmp_path / "pruned.pt", ("--user-dir", mine)
    run("fairseq-prune", "apply", dense, "--output", pruned, *FLAGS, *own)
    assert "like-blind|sparsity:0.5|saliency:worth" in run("fairseq-prune", "inspect", pruned, *own)
    assert "not known here" not in run("fairseq-prune", "verify", pruned, "--expect", 0.5, *own)
    # where the method is not: its name is shown, the masks are checked, held and retrained
    assert "like-blind|sparsity:0.5|saliency:worth" in run("fairseq-prune", "inspect", pruned)
    said = run("fairseq-prune", "verify", pruned, "--expect", 0.5)
    assert "made with the scheme like-blind, the saliency worth" in said
    folder = tmp_path / "retrained"
    run("fairseq-train", corpus, *TRANSFORMER, *TRAINING, "--max-update", 2, "--user-dir",
        "fairseq_prune", "--finetune-from-model", pruned, "--save-dir", folder)  # fmt: skip
    last = folder / "checkpoint_last.pt"
    run("fairseq-prune", "verify", last, "--masks-from", pruned, "--expect", 0.5)
    # what is asked for by name has to be there
    said = run("fairseq-prune", "apply", dense, "--output", tmp_path / "no.pt", *FLAGS, fails=True)
    assert "--prune-scheme 'like-blind' is unknown; choose" in said


@pytest.mark.slow
def test_training_by_it_goes_on_where_it_was_cut(
    mine: Path, dense: Path, corpus: Path, tmp_path: Path
) -> None:
    more = (*TRANSFORMER, *TRAINING, "--user-dir", mine, *FLAGS, "--finetune-from-model", dense)
    for updates in (2, 4):
        run("fairseq-train", corpus, *more, "--max-update", updates, "--save-dir", tmp_path)
    last = tmp_path / "checkpoint_last.pt"
    assert ": ok;" in run("fairseq-prune", "verify", last, "--expect", 0.5, "--user-dir", mine)
    assert "saliency:worth" in run("fairseq-prune", "inspect", last)


def test_an_entry_point_of_a_package_registers_without_a_flag(
    mine: Path, dense: Path, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    info = site / "mine_of_mine-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "mine_of_mine.py").write_text(MINE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine-of-mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[fairseq_prune]\nmine = mine_of_mine\n")
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    pruned = tmp_path / "pruned.pt"
    run("fairseq-prune", "apply", dense, "--output", pruned, *FLAGS, PYTHONPATH=path)
    assert "worth (the square of the weight; Mine 2026)" in " ".join(
        run("fairseq-prune", "flags", PYTHONPATH=path).split()
    )
    (site / "mine_of_mine.py").write_text("import nothing_of_the_kind\n")
    said = run("fairseq-prune", "apply", dense, *FLAGS, fails=True, PYTHONPATH=path)
    assert "what mine-of-mine registers is not there" in said and "is unknown; choose" in said
