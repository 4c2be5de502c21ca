"""The classifier of the AG News report, in fairseq's sentence_prediction, pruned and not."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fairseq_prune.cli.main import main
from fairseq_prune.network.weights import of_module, of_state_dict
from tests.conftest import differences, read, trained
from tests.models.news import train

PAD = 1
HEAD = "classification_heads.sentence_classification_head.weight"
TABLE = "encoder.embed_tokens.weight"


def make(tokens: int = 12, width: int = 4, classes: int = 3) -> Any:
    from fairseq_prune.models.embedding_bag import EmbeddingBagModel

    torch.manual_seed(1)
    model = EmbeddingBagModel(Namespace(embed_dim=width, init_range=0.5), tokens, PAD)
    model.register_classification_head("head", num_classes=classes)
    return model


def test_it_is_torchs_embedding_bag_and_a_linear_layer() -> None:
    model = make()
    tokens = torch.tensor([[4, 5, 5, 2], [7, 2, PAD, PAD], [PAD, 9, PAD, 2]])
    bag = nn.EmbeddingBag(12, 4, mode="mean", padding_idx=PAD)
    bag.weight = model.encoder.embed_tokens.weight
    features, _ = model(tokens)
    torch.testing.assert_close(features, bag(tokens))
    logits, nothing = model(tokens, classification_head_name="head")
    torch.testing.assert_close(logits, model.classification_heads["head"](bag(tokens)))
    assert nothing is None


def test_padding_changes_nothing_whatever_its_row_holds_and_nothing_but_padding_is_zeros() -> None:
    model = make()
    short, padded = torch.tensor([[4, 5, 2]]), torch.tensor([[4, 5, 2, PAD, PAD]])
    with torch.no_grad():
        model.encoder.embed_tokens.weight[PAD] = 9.0
    assert torch.equal(model(short)[0], model(padded)[0])
    assert torch.equal(model(torch.full((1, 3), PAD))[0], torch.zeros(1, 4))


def test_weights_begin_uniform_between_minus_and_plus_a_half() -> None:
    model = make(tokens=2000, classes=500)
    table, head = model.encoder.embed_tokens.weight, model.classification_heads["head"]
    assert not table[PAD].any() and not head.bias.any()
    for weight in (table, head.weight):
        assert 0.49 < weight.abs().max().item() <= 0.5
        assert weight.std().item() == pytest.approx(12**-0.5, rel=0.05)


def test_its_classes_are_the_source_embedding_without_the_pad_row_and_the_softmax() -> None:
    model = make()
    weights = of_module(model)
    assert {n: (w.weight_class, w.prunable) for n, w in weights.items()} == {
        TABLE: ("source-embedding", 11 * 4),
        "classification_heads.head.weight": ("softmax", 12),
    }
    stored = of_state_dict(model.state_dict())
    assert [(w.name, w.fixed) for w in stored.values()] == [
        (w.name, w.fixed) for w in weights.values()
    ]


def test_the_flow_of_synflow_is_the_same_through_both_matrices() -> None:
    from fairseq_prune.saliency.probe import Probe
    from fairseq_prune.saliency.synflow import synflow
    from fairseq_prune.tasks._flow import flow_of

    model = make()
    scores = synflow(Probe(of_module(model), flow=flow_of(model)))
    table, head = (float(score.values.sum()) for score in scores.values())
    assert table == pytest.approx(head, rel=1e-9) and table > 0


def test_a_width_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="--embed-dim 0 and --init-range 0.5 must be above 0."):
        make(width=0)


def test_it_learns_and_stays_a_stock_task(dense_classifier: Path) -> None:
    done = read(dense_classifier)
    assert done["cfg"]["task"]["_name"] == "sentence_prediction"
    assert not done["model"][TABLE][PAD].any()
    assert done["extra_state"]["val_loss"] > 60  # accuracy; chance is 25


@pytest.mark.parametrize(
    "flags",
    [
        ("--prune-scheme", "class-blind", "--prune-saliency", "snip", "--prune-score-batches", 4),
        ("--prune-scheme", "class-uniform", "--prune-schedule", "gradual", "--prune-end", 30,
         "--prune-every", 7),
    ],
    ids=["snip before training", "gradual"],
)  # fmt: skip
def test_a_run_that_was_cut_goes_on_bit_for_bit(
    flags: tuple[Any, ...], news_data: Path, tmp_path: Path
) -> None:
    flags = (*flags, "--prune-sparsity", 0.8)
    straight = train(news_data, tmp_path / "a", "--max-epoch", 5, *flags)
    train(news_data, tmp_path / "b", "--max-epoch", 2, *flags)
    resumed = train(news_data, tmp_path / "b", "--max-epoch", 5, *flags)
    assert differences(trained(straight), trained(resumed)) == []
    total = sum(w.prunable for w in of_state_dict(straight["model"]).values())
    zeros = sum(int((straight["model"][name] == 0).sum()) for name in (TABLE, HEAD))
    assert zeros - 8 == round(0.8 * total)  # 8: the pad row


def test_retraining_holds_what_apply_removed(
    news_data: Path, dense_classifier: Path, tmp_path: Path
) -> None:
    pruned = tmp_path / "pruned.pt"
    scheme = ["--prune-scheme", "class-blind", "--prune-sparsity", "0.7"]
    assert main(["apply", str(dense_classifier), "--output", str(pruned), *scheme]) == 0
    before = read(pruned)
    after = train(news_data, tmp_path / "run", "--max-epoch", 2, "--finetune-from-model", pruned)
    for name in (TABLE, HEAD):
        gone = before["model"][name] == 0
        assert gone.any() and not after["model"][name][gone].any()
    assert differences(before["model"], after["model"])


@pytest.mark.parametrize("saliency", ["snip", "taylor", "grasp", "obd", "obd-hutchinson", "wanda"])
def test_saliencies_on_data_prune_a_trained_classifier(
    saliency: str, news_data: Path, dense_classifier: Path, tmp_path: Path
) -> None:
    output = tmp_path / "pruned.pt"
    flags = ["--prune-scheme", "class-uniform", "--prune-sparsity", "0.5", "--data", news_data]
    flags += ["--prune-saliency", saliency, "--prune-score-batches", 3, "--output", output]
    assert main(["apply", str(dense_classifier), *map(str, flags)]) == 0
    assert int((read(output)["model"][HEAD] == 0).sum()) == 16
