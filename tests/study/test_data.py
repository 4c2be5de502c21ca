"""The data of a study, before anything is trained on them."""

from pathlib import Path

import pytest

from fairseq_prune.study.data import foreseen, prepare
from fairseq_prune.study.settings import read_study
from tests.study.studies import write_study


def test_subwords_that_nothing_joins_are_said(corpus: Path, tmp_path: Path) -> None:
    data = tmp_path / "bin"
    data.mkdir()
    for path in corpus.iterdir():
        (data / path.name).write_bytes(path.read_bytes())
    said: list[str] = []
    study = read_study(str(write_study(tmp_path, data=str(data))))
    prepare(study, tmp_path / "out", said.append)
    assert said == []
    words = (data / "dict.en.txt").read_text().splitlines()
    (data / "dict.en.txt").write_text("".join(f"▁{word}\n" for word in words))
    prepare(study, tmp_path / "out", said.append)
    assert len(said) == 1
    assert said[0].startswith("warning: data toy: the target is in subwords (▁)")
    assert "--remove-bpe sentencepiece" in said[0]


def test_data_without_a_training_set_are_for_what_trains_nothing(
    corpus: Path, tmp_path: Path
) -> None:
    data = tmp_path / "bin"
    data.mkdir()
    for path in corpus.iterdir():
        if not path.name.startswith("train."):
            (data / path.name).write_bytes(path.read_bytes())
    study = read_study(str(write_study(tmp_path, data=str(data))))
    (said,) = foreseen(study)
    assert said.startswith(f"data toy: no run is possible yet: {data} has no training data")
    with pytest.raises(ValueError, match="has no training data .* and the study trains"):
        prepare(study, tmp_path / "out", print)
    assert not (tmp_path / "out").exists()
