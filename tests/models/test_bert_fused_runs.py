"""BERT-fused models in fairseq's programs and ours."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fairseq_prune.checkpoints.storage import masks_of
from tests.conftest import (
    ROOT,
    TRAINING,
    Train,
    differences,
    read,
    run,
    torchrun,
    train_here,
    trained,
)
from tests.models.bert import NEEDS_TRANSFORMERS, batch, build, flags, save_bert
from tests.models.nets import checkpoint

pytestmark = NEEDS_TRANSFORMERS

PRUNE = ["--prune-scheme", "class-blind", "--prune-sparsity", 0.5]
Fused = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bert(tmp_path_factory.mktemp("bert") / "model")


@pytest.fixture
def fused(corpus: Path, bert: Path) -> Fused:
    """Trains a fused model in this process; gives the last checkpoint."""

    def call(folder: Path, *more: Any) -> dict[str, Any]:
        train_here([corpus, *flags(bert), *TRAINING, "--save-dir", folder, *more])
        return read(folder / "checkpoint_last.pt")

    return call


@pytest.fixture(scope="module")
def pruned(corpus: Path, bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fused model that was pruned before its first update, and trained for six."""
    folder = tmp_path_factory.mktemp("pruned")
    train_here(
        [corpus, *flags(bert), *TRAINING, "--save-dir", folder, "--max-update", 6, *PRUNE]
    )  # fmt: skip
    return folder / "checkpoint_last.pt"


def test_a_pruned_model_is_plain_without_its_bert(pruned: Path, bert: Path) -> None:
    saved, whole = read(pruned), read(pruned)["model"]
    assert not any("encoder.bert." in name for name in whole)
    masks = masks_of(saved, "it")
    assert masks is not None
    assert masks.sparsity() == 0.5
    assert any(".bert_attn." in name for name in masks)
    assert all(not bool(whole[name][~mask].any()) for name, mask in masks.items())
    assert saved["cfg"]["model"].bert_model == str(bert)
    assert saved["cfg"]["task"]["_name"] == "translation"


BOTH = [(), pytest.param(("--prune-bert",), marks=pytest.mark.slow)]


@pytest.mark.parametrize("more", BOTH, ids=["frozen", "part of the model"])
def test_a_resumed_run_equals_the_straight_one(fused: Fused, tmp_path: Path, more: Any) -> None:
    """Masks hold meanwhile; the BERT is what it was only where it is no part of the model."""
    gradual = "--prune-schedule gradual --prune-end 5 --prune-every 2".split()
    straight = fused(tmp_path / "a", *PRUNE, *gradual, "--max-update", 6, *more)
    fused(tmp_path / "b", *PRUNE, *gradual, "--max-update", 3, *more)
    resumed = fused(tmp_path / "b", *PRUNE, *gradual, "--max-update", 6, *more)
    assert differences(trained(straight), trained(resumed)) == []
    masks = masks_of(straight, "it")
    assert masks is not None
    assert any("encoder.bert." in name for name in masks) == bool(more)
    assert all(not bool(straight["model"][name][~mask].any()) for name, mask in masks.items())


@pytest.mark.slow
def test_prepared_pieces_change_no_bit_of_training(
    fused: Fused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fairseq_prune.tasks._bert_input import Readers

    prepared = fused(tmp_path / "a", "--max-update", 3)
    monkeypatch.setattr(Readers, "attach", lambda self, dataset: None)
    own = fused(tmp_path / "b", "--max-update", 3)
    assert differences(trained(prepared), trained(own)) == []


@pytest.mark.slow
def test_a_warm_start_is_for_fresh_runs_only(
    fused: Fused, train: Train, corpus: Path, tmp_path: Path
) -> None:
    from fairseq_prune.tasks.offline import fresh_weights
    from fairseq_prune.tasks.own import Given

    plain = train(tmp_path / "plain", "--max-update", 2, arch="transformer")
    path = tmp_path / "plain" / "checkpoint_last.pt"
    warm = ["--warmup-from-nmt", path, "--lr", 0]
    begun = fused(tmp_path / "fused", "--max-update", 1, *warm)
    weights = {n: x for n, x in trained(begun)["model"].items() if "bert_attn" not in n}
    assert differences(weights, trained(plain)["model"]) == []
    # the fresh model of a control begins the same way
    fresh = fresh_weights(
        str(tmp_path / "fused" / "checkpoint_last.pt"), Given(data=str(corpus)), 1
    )
    assert differences(trained({**begun, "model": fresh})["model"], trained(begun)["model"]) == []
    path.unlink()  # it is not asked for again, neither in training nor in decoding
    fused(tmp_path / "fused", "--max-update", 2, *warm)
    from fairseq import checkpoint_utils

    checkpoint_utils.load_model_ensemble([str(tmp_path / "fused" / "checkpoint_last.pt")])


def scores(text: str) -> dict[int, tuple[float, str]]:
    """The hypotheses that fairseq printed."""
    lines = [line.split("\t") for line in text.splitlines() if line.startswith("H-")]
    return {int(name[2:]): (float(score), words) for name, score, words in lines}


def test_generate_and_interactive_agree(pruned: Path, corpus: Path, capsys: Any) -> None:
    """The second sees other batches, and no data set of ours."""
    from fairseq import options
    from fairseq.dataclass.utils import convert_namespace_to_omegaconf
    from fairseq_cli import generate, interactive

    common = [corpus, "--path", pruned, "--beam", 5, "--cpu", "--max-len-b", 12]
    typing = ["--input", corpus.parent / "test.de", "--buffer-size", 20, "--batch-size", 3]
    said = []
    for program, parser, more in (
        (generate, options.get_generation_parser(), ["--max-tokens", 100]),
        (interactive, options.get_interactive_generation_parser(), typing),
    ):
        words = [str(word) for word in (*common, *more)]
        arguments = options.parse_args_and_arch(parser, input_args=words)
        capsys.readouterr()
        program.main(convert_namespace_to_omegaconf(arguments))
        said.append(scores(capsys.readouterr().out))
    generated, typed = said
    assert len(generated) == 20
    assert generated.keys() == typed.keys()
    for number, (score, words) in generated.items():
        assert typed[number][1] == words
        assert typed[number][0] == pytest.approx(score, abs=1e-5)


@pytest.mark.slow
def test_two_ranks_equal_two_batches_an_update(corpus: Path, bert: Path, tmp_path: Path) -> None:
    common = [
        corpus, *flags(bert), *TRAINING, "--dropout", 0, "--bert-dropnet", 0,
        "--user-dir", ROOT / "fairseq_prune", *PRUNE, "--prune-saliency", "snip",
        "--prune-score-batches", 2,
    ]  # fmt: skip
    ranks = [
        *torchrun(2), *common, "--distributed-backend", "gloo", "--save-dir", tmp_path / "ranks"
    ]  # fmt: skip
    one = tmp_path / "one"
    run("fairseq-train", *common, "--update-freq", 2, "--max-update", 4, "--save-dir", one)
    run(*ranks, "--max-update", 2)
    run(*ranks, "--max-update", 4)  # and a resume in the middle
    a, b = (read(tmp_path / name / "checkpoint_last.pt") for name in ("one", "ranks"))
    assert differences(trained(a)["model"], trained(b)["model"]) == []


def test_a_bert_that_has_gone_is_one_sentence_and_another_can_be_given(
    pruned: Path, bert: Path, tmp_path: Path
) -> None:
    from fairseq import checkpoint_utils

    def load(folder: Path) -> Any:
        return checkpoint_utils.load_model_ensemble(
            [str(pruned)], arg_overrides={"bert_model": str(folder)}
        )

    with pytest.raises(SystemExit, match="gone cannot be loaded .there is no such folder.*FOLDER"):
        load(tmp_path / "gone")
    (found,), _ = load(shutil.copytree(bert, tmp_path / "moved"))
    assert found.args.bert_model == str(tmp_path / "moved")


# --------------------------------------------------------------------- our own commands
def prune(*words: Any) -> int:
    from fairseq_prune.cli.main import main

    return main([str(word) for word in words])


@pytest.mark.parametrize("saliency", ["obd", "wanda"])
def test_apply_scores_on_data(saliency: str, pruned: Path, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.pt"
    assert not prune(
        "apply", pruned, "--output", out, "--data", corpus, "--prune-scheme", "class-uniform",
        "--prune-saliency", saliency, "--prune-sparsity", 0.7,
        "--prune-score-batches", 2,
    )  # fmt: skip
    assert prune("verify", out) == 0


def test_commands_take_it(pruned: Path, corpus: Path, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "results"
    compact, back = tmp_path / "c.fsz", tmp_path / "back.pt"
    assert not prune("inspect", pruned)
    assert "source-layer-1.bert-attention" in capsys.readouterr().out
    assert not prune("average", pruned, pruned, "--output", tmp_path / "mean.pt")
    assert not prune("export", tmp_path / "mean.pt", "--format", "compact", "--output", compact)
    assert not prune("export", compact, "--format", "checkpoint", "--output", back)
    assert not prune(
        "evaluate", pruned, back, "--data", corpus, "--output", out, "--cpu", "--max-len-b", 9
    )
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len({(line["bleu"], line["test_ppl"]) for line in lines}) == 1
    capsys.readouterr()
    words = ["export", pruned, "--format", "ctranslate2", "--data", corpus]
    assert prune(*words, "--output", tmp_path / "folder") == 2
    said = capsys.readouterr().err
    assert "is of the architecture transformer_bert_fused: what is written for CTranslate2" in said


@pytest.mark.parametrize("structure", ["ffn", "heads"])
def test_shrink_cuts_feed_forward_layers(
    structure: str, bert: Path, tmp_path: Path, capsys: Any
) -> None:
    applied, small = tmp_path / "applied.pt", tmp_path / "small.pt"
    model = build(bert)
    torch.save(checkpoint(model.args, model), tmp_path / "dense.pt")
    assert not prune(
        "apply", tmp_path / "dense.pt", "--output", applied, "--prune-scheme", "class-uniform",
        "--prune-structure", structure, "--prune-sparsity", 0.5,
    )  # fmt: skip
    code = prune("shrink", applied, "--output", small)
    said = capsys.readouterr()
    if structure == "heads":
        assert code == 2
        assert "no architecture of ours is there for transformer_bert_fused; " in said.err
        return
    assert "architecture transformer_bert_fused: give --user-dir fairseq_prune" in said.out
    model.load_state_dict(read(applied)["model"])
    width = ["--encoder-ffn-embed-dim", 16, "--decoder-ffn-embed-dim", 16]
    cut = build(bert, *width)
    cut.load_state_dict(read(small)["model"], strict=True, model_cfg=None)
    assert vars(read(small)["cfg"]["model"])["encoder_ffn_embed_dim"] == 16
    given = batch("ab ba ca")
    with torch.no_grad():
        torch.testing.assert_close(cut(**given)[0], model(**given)[0])
