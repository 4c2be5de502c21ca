"""Sensitivity against checkpoints that are pruned for real."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
import torch

from fairseq_prune.checkpoints.apply import apply_recipe
from fairseq_prune.checkpoints.checkpoint import Opened
from fairseq_prune.cli.main import main
from fairseq_prune.evaluation.decode import Decoder
from fairseq_prune.evaluation.evaluate import evaluate
from fairseq_prune.evaluation.scores import Scores
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.masks.state import Masks
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.sensitivity.measure import pruned
from fairseq_prune.tasks.opening import open_checkpoint
from tests.conftest import ARCHES, TRAINING, differences, train_here

Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module", params=sorted(ARCHES))
def checkpoint(
    request: pytest.FixtureRequest, corpus: Path, tmp_path_factory: pytest.TempPathFactory
) -> str:
    folder = tmp_path_factory.mktemp(request.param)
    flags = ("--max-epoch", 2, "--lr", 0.03, "--dropout", 0)
    train_here([corpus, *ARCHES[request.param], *TRAINING, "--save-dir", folder, *flags])
    return str(folder / "checkpoint_last.pt")


@pytest.fixture
def ask(checkpoint: str, corpus: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Calls ``fairseq-prune sensitivity ... --json``, which has to succeed; gives what it says."""

    def call(*flags: Any) -> dict[str, Any]:
        capsys.readouterr()
        command = ["sensitivity", checkpoint, "--data", corpus, "--cpu", "--json", *flags]
        assert main([str(word) for word in command]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return call


@pytest.fixture
def nll(corpus: Path) -> Callable[[str], float]:
    """The validation loss of a checkpoint, by evaluate's own way."""
    decoder = Decoder(Settings(data=str(corpus), cpu=True))

    def measure(path: str) -> float:
        decoder.open(path)
        return decoder.nll("valid")

    return measure


def test_a_class_costs_what_evaluating_the_pruned_file_says(
    ask: Ask, nll: Callable[[str], float], checkpoint: str, tmp_path: Path
) -> None:
    coarse = ("--prune-classes", "component")
    found = ask("--each", "0.0,0.7", *coarse)
    assert found["dense"]["nll"] == nll(checkpoint)
    labels = list(dict.fromkeys(row["class"] for row in found["rows"]))
    assert [(r["class"], r["removed"] > 0) for r in found["rows"]] == [
        (label, some) for label in labels for some in (False, True)
    ]
    for row in found["rows"]:
        if row["removed"] == 0:
            assert (row["ppl"], row["ppl_change"]) == (found["dense"]["ppl"], 0.0)
            continue
        out = str(tmp_path / "only.pt")
        others = [f"^{label}$" for label in labels if label != row["class"]]
        flags = ["--prune-scheme", "class-blind", "--prune-sparsity", "0.7", "--force", *coarse]
        assert main(["apply", checkpoint, "--output", out, *flags, "--prune-exclude",
                     ",".join(others)]) == 0  # fmt: skip
        assert row["nll"] == nll(out)
        assert row["ppl_change"] == row["ppl"] - found["dense"]["ppl"] != 0.0


def masks_of(source: Opened) -> Masks:
    return apply_recipe(source, Recipe(scheme="class-uniform", sparsity=0.9)).masks


def test_the_model_is_bit_for_bit_as_before_and_the_order_changes_nothing(
    checkpoint: str, corpus: Path
) -> None:
    decoder = Decoder(Settings(data=str(corpus), cpu=True))
    decoder.open(checkpoint)
    source = open_checkpoint(checkpoint)
    masks = masks_of(source)
    before = {name: value.clone() for name, value in decoder.model.state_dict().items()}

    def cost(name: str) -> float:
        with pruned(decoder.model, source.weights, {name: masks[name]}):
            return decoder.nll("valid")

    names = list(masks)[::12]
    forwards = {name: cost(name) for name in names}
    assert {name: cost(name) for name in reversed(names)} == forwards
    assert len(set(forwards.values())) == len(forwards) > 0
    with pytest.raises(KeyboardInterrupt), pruned(decoder.model, source.weights, masks):
        for name, mask in masks.items():
            for alias in source.weights[name].aliases:
                live = decoder.model.state_dict()[alias]
                assert torch.count_nonzero(live[~mask]) == 0
                assert torch.equal(live[mask], before[alias][mask])
        raise KeyboardInterrupt
    assert differences(dict(decoder.model.state_dict()), before) == []


@pytest.mark.parametrize("checkpoint", ["transformer"], indirect=True)
def test_bleu_is_of_the_translations_that_evaluate_scores(
    ask: Ask, checkpoint: str, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def digest(hypotheses: list[str], references: list[str]) -> Scores:
        # a model that has learnt so little has no BLEU to compare by
        value = crc32(" ".join([*hypotheses, *references]).encode())
        return Scores(value, 0.0, 1.0, 1.0, "", "")

    for module in ("sensitivity.measure", "evaluation.evaluate"):
        monkeypatch.setattr(f"fairseq_prune.{module}.score", digest)
    out, rules = str(tmp_path / "pruned.pt"), tmp_path / "rules"
    rules.write_text("everything .\n")
    coarse, decoding = ("--prune-classes", str(rules)), ("--beam", 2, "--max-len-b", 12)
    found = ask("--each", "0.9", *coarse, "--bleu", *decoding, "--subset", "test")
    flags = ("--prune-scheme", "class-blind", "--prune-sparsity", "0.9", *coarse)
    assert main(["apply", checkpoint, "--output", out, *flags]) == 0
    settings = Settings(data=str(corpus), beam=2, max_len_b=12, valid_subset=None, cpu=True)
    rows = [row for row, _ in evaluate([checkpoint, out], settings)]
    (only_row,) = found["rows"]
    assert [row["bleu"] for row in rows] == [found["dense"]["bleu"], only_row["bleu"]]
    assert [row["test_nll"] for row in rows] == [found["dense"]["nll"], only_row["nll"]]
    assert only_row["bleu_change"] == only_row["bleu"] - found["dense"]["bleu"] != 0
