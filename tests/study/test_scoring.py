"""Studies of classifiers: scored by classify, and laid out as fairseq's task has its data."""

from pathlib import Path

import pytest

from fairseq_prune.study.data import digest
from fairseq_prune.study.layout import lay, look
from fairseq_prune.study.scoring import CLASSIFY, EVALUATE, SCORINGS
from fairseq_prune.study.settings import read_study
from tests.study.studies import GRID, write_study

CONFIG = """\
model:
  task: sentence_prediction
  criterion: sentence_prediction
  num-classes: 4
  arch: embedding_bag
  embed-dim: 8
  optimizer: sgd
  lr: 5
  clip-norm: 0.1
  batch-size: 16
  best-checkpoint-metric: accuracy
  maximize-best-checkpoint-metric: true
  num-workers: 0
dense:
  max-update: 8
retrain:
  max-update: 4
"""


def write_classifiers(folder: Path, data: str = "bin", grid: str = GRID) -> Path:
    """A study of classifiers."""
    path = write_study(folder, grid, data)
    path.write_text(path.read_text().replace("  beam: 1\n  max-len-b: 10\n", "  subset: test\n"))
    path.with_name("config.yaml").write_text(CONFIG)
    return path


def write_data(folder: Path) -> None:
    """Files where sentence_prediction has them."""
    for part in ("input0", "label"):
        (folder / part).mkdir(parents=True)
        (folder / part / "dict.txt").write_text("a 1\n")
        for name in ("test.idx", "test.bin", "train.idx"):
            (folder / part / name).write_text(part)


def test_a_study_of_classifiers_is_scored_by_classify(tmp_path: Path) -> None:
    write_data(tmp_path / "bin")
    laid = look(read_study(str(write_classifiers(tmp_path))), tmp_path / "out")
    lay(laid, print)
    assert laid.study.scoring == "classify"
    for point in laid.points:
        content = laid.folders[point.name].read("point")
        assert content is not None and content["scoring"] == "classify"
        assert content["evaluate"]["subset"] == "test"
        words = content["command"]
        tasks = [words[i + 1] for i, word in enumerate(words) if word == "--task"]
        assert tasks == (["sentence_prediction"] if point.training else [])


def test_its_data_are_known_by_their_files_wherever_they_lie(tmp_path: Path) -> None:
    write_data(tmp_path / "bin")
    (data,) = read_study(str(write_classifiers(tmp_path))).data.values()
    first = digest(data)
    (tmp_path / "bin/label/test.bin").write_text("other")
    assert digest(data) != first


@pytest.mark.parametrize(
    "old, new, sentence",
    [
        ("  subset: test", "  beam: 5", "unknown key 'beam' in evaluate; known are subset"),
        ("    bin: bin", "    bin: bin\n    reference: x", "line 5: reference is for translations"),
        (
            "  m: config.yaml",
            "  m: config.yaml\n  t: t.yaml",
            "m and t are of tasks that are",
        ),
    ],
)
def test_what_classifiers_have_not_is_refused(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    path = write_classifiers(tmp_path)
    (tmp_path / "t.yaml").write_text(CONFIG.replace("  task: sentence_prediction\n", ""))
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError) as error:
        read_study(str(path))
    assert sentence in str(error.value), error.value


def test_data_for_translation_are_no_data_for_classifiers(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    laid = look(read_study(str(write_classifiers(tmp_path))), tmp_path / "out")
    with pytest.raises(ValueError, match="no input0/dict.txt and label/dict.txt"):
        lay(laid, print)


def test_a_score_is_shown_with_its_name() -> None:
    assert SCORINGS[EVALUATE].shown({"bleu": 12.345}) == "BLEU 12.35"
    assert SCORINGS[CLASSIFY].shown({"accuracy": 90}) == "accuracy 90.00"
    assert SCORINGS[EVALUATE].shown({"bleu": None, "no_bleu": "a language model"}) is None


def test_sensitivity_of_classifiers_is_refused(tmp_path: Path) -> None:
    grid = GRID.replace("[pruned, retrained]", "[pruned, sensitivity]")
    with pytest.raises(ValueError, match="line 9: .* sensitivity is for translations, and m is a"):
        read_study(str(write_classifiers(tmp_path, grid=grid)))
