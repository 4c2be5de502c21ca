"""The LSTM of See et al. (2016) in real runs: scored, pruned, retrained, decoded."""

import json
from pathlib import Path
from typing import Any

import pytest

from fairseq_prune.checkpoints.storage import masks_of
from fairseq_prune.cli.main import main
from fairseq_prune.saliency import SALIENCIES
from tests.conftest import ROOT, TRAINING, read, run, train_here

TINY = (
    "--arch see2016_lstm --encoder-embed-dim 8 --decoder-embed-dim 8 --encoder-hidden-size 8 "
    "--decoder-hidden-size 8 --encoder-layers 4 --decoder-layers 4 --batch-size 4"
).split()
CLASSES = {
    *(f"{side}-layer-{layer}" for side in ("source", "target") for layer in (1, 2, 3, 4)),
    "source-embedding", "target-embedding", "attention", "softmax",
}  # fmt: skip
HALF = ["--prune-scheme", "class-uniform", "--prune-sparsity", "0.5"]


@pytest.fixture(scope="module")
def dense(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("see2016")
    train_here([corpus, *TRAINING, *TINY, "--save-dir", folder, "--max-update", 2])
    return str(folder / "checkpoint_last.pt")


def apply(dense: str, out: Path, *flags: str) -> dict[str, Any]:
    """The dense checkpoint, pruned."""
    assert main(["apply", dense, "--output", str(out), *HALF, *flags]) == 0
    return read(out)


@pytest.mark.parametrize("saliency", SALIENCIES)
def test_every_saliency_prunes_it(dense: str, corpus: Path, tmp_path: Path, saliency: str) -> None:
    needs = SALIENCIES[saliency].needs
    flags = ["--prune-score-batches", "2"] if needs == "data" else []
    flags += ["--data", str(corpus)] if needs in ("data", "network") else []
    done = apply(dense, tmp_path / "out.pt", "--prune-saliency", saliency, *flags)
    masks = masks_of(done, "out.pt")
    assert masks is not None and masks.sparsity() == pytest.approx(0.5, abs=1e-3)


def test_inspect_shows_the_twelve_classes(
    dense: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    apply(dense, tmp_path / "out.pt")
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "out.pt"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["classes"]
    assert {row["name"] for row in shown} == CLASSES


def test_one_class_is_pruned_at_a_time(dense: str, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "sensitivity.json"
    assert main(["sensitivity", dense, "--data", str(corpus), "--output", str(out)]) == 0
    assert {row["class"] for row in json.loads(out.read_text())["rows"]} >= CLASSES


def test_it_is_retrained_under_its_masks_and_decoded_with_the_plugin(
    dense: str, corpus: Path, tmp_path: Path
) -> None:
    pruned, flags = tmp_path / "pruned.pt", [*TRAINING, *TINY, "--max-update", 2]
    apply(dense, pruned)
    train_here([corpus, *flags, "--save-dir", tmp_path, "--finetune-from-model", pruned])
    last = tmp_path / "checkpoint_last.pt"
    assert main(["verify", str(last)]) == 0
    plugin = ("--user-dir", ROOT / "fairseq_prune")
    out = run("fairseq-generate", corpus, "--path", last, "--beam", 3, "--cpu", *plugin)
    assert "Generate test with beam=3" in out
