"""``fairseq-prune classify``: what fairseq-validate measures, and what is refused."""

import json
from pathlib import Path

import pytest

from tests.conftest import read
from tests.models import news

HEAD = "classification_heads.sentence_classification_head"


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The binarised folder and a checkpoint after one epoch."""
    folder = tmp_path_factory.mktemp("classify")
    news.write_rows(folder / "train.csv", 60, seed=1)
    news.write_rows(folder / "test.csv", 23, seed=2)
    news.binarise(folder, "--valid-share", 0.2)
    news.train(folder / "data", folder / "run", "--max-epoch", 1)
    return folder / "data", folder / "run" / "checkpoint_last.pt"


def by_hand(data: Path, checkpoint: Path) -> tuple[float, float]:
    """Accuracy and loss, text by text, without fairseq's task and model."""
    from fairseq.data import Dictionary, data_utils

    model = read(checkpoint)["model"]
    sets = {}
    for part in ("input0", "label"):
        words = Dictionary.load(str(data / part / "dict.txt"))
        sets[part] = data_utils.load_indexed_dataset(str(data / part / "test"), words)
    right, nats = 0, 0.0
    for text, label in zip(sets["input0"], sets["label"], strict=True):
        mean = model["encoder.embed_tokens.weight"][text.long()].mean(dim=0)
        scores = (model[f"{HEAD}.weight"] @ mean + model[f"{HEAD}.bias"]).log_softmax(dim=0)
        right += int(scores.argmax() == label[0] - 4)
        nats -= float(scores[label[0].long() - 4])
    return 100 * right / len(sets["label"]), nats / len(sets["label"])


def test_accuracy_and_loss_are_those_by_hand_and_a_known_row_is_not_measured_again(
    classifier: tuple[Path, Path], tmp_path: Path, call, monkeypatch
) -> None:
    data, checkpoint = classifier
    output = tmp_path / "accuracy.jsonl"
    flags = ("--data", data, "--cpu", "--output", output, "--tag", "stage=dense", "--json")
    code, out, _ = call("classify", checkpoint, *flags)
    row = json.loads(out)
    assert (code, row["examples"], row["sparsity"], row["flop_sparsity"]) == (0, 23, 0.0, 0.0)
    assert (row["accuracy"], row["loss"]) == pytest.approx(by_hand(data, checkpoint), rel=1e-5)
    monkeypatch.setattr("fairseq_prune.evaluation.classify._measured", None)
    assert json.loads(call("classify", checkpoint, *flags)[1]) == row
    assert output.read_text().count("\n") == 1


def test_flop_sparsity_is_that_of_the_words_in_the_subset(
    classifier: tuple[Path, Path], tmp_path: Path, call, ask
) -> None:
    data, checkpoint = classifier
    pruned = tmp_path / "pruned.pt"
    scheme = ("--prune-scheme", "class-blind", "--prune-sparsity", "0.5")
    assert call("apply", checkpoint, "--output", pruned, *scheme)[0] == 0
    row = ask("classify", pruned, "--data", data, "--cpu")
    dense, sparse = row["multiply_adds"]
    assert row["flop_sparsity"] == 1 - sparse / dense and 0 < row["flop_sparsity"] < 1
    assert dense == pytest.approx(8 * _length(data) + 4 * 8)
    code, out, _ = call("classify", checkpoint, pruned, "--data", data, "--cpu")
    assert code == 0 and "FLOP sparsity" in out and "class-blind" in out


def _length(data: Path) -> float:
    """Tokens of an average text of the test set."""
    from fairseq.data import Dictionary, data_utils

    words = Dictionary.load(str(data / "input0" / "dict.txt"))
    texts = data_utils.load_indexed_dataset(str(data / "input0" / "test"), words)
    return float(texts.sizes.mean())  # the sizes are gone with the data set


def test_what_does_not_fit_is_refused_in_a_sentence(
    classifier: tuple[Path, Path], tmp_path: Path, call, dense: str
) -> None:
    data, checkpoint = classifier
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "dict.de.txt").write_text("a 1\n")
    for arguments, sentence in (
        (("classify", checkpoint, "--data", tmp_path / "bin"), "has no input0/dict.txt and label/"),
        (
            ("classify", checkpoint, "--data", data, "--subset", "tset"),
            "no input0 of subset 'tset'",
        ),
        (("classify", tmp_path / "no.pt", "--data", data), "no.pt is not a file"),
        (("classify", dense, "--data", data), f"fairseq cannot open {dense} with --data"),
        (("evaluate", checkpoint, "--data", data), "use fairseq-prune classify."),
    ):
        code, out, err = call(*arguments)
        assert (code, out) == (2, "") and sentence in err and err.count("\n") == 1
