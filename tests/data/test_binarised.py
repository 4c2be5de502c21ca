"""Binarised data in fairseq's formats: counted, and written with other numbers."""

from pathlib import Path

import pytest
import torch
from fairseq.data import data_utils, indexed_dataset

from fairseq_prune.data.binarised import count_tokens, language_pair, open_splits, renumber
from fairseq_prune.data.dictionary import SPECIALS, Dictionary

WORDS = Dictionary("dict.txt", (), (*SPECIALS, "a", "b", "c"))
SENTENCES = [[4, 6, 6, 2], [2], [5, 3, 2]]


def write(path: Path, stored: str) -> None:
    builder = indexed_dataset.make_builder(f"{path}.bin", stored, vocab_size=len(WORDS))
    for sentence in SENTENCES:
        builder.add_item(torch.tensor(sentence))
    builder.finalize(f"{path}.idx")


@pytest.mark.parametrize("stored", ["mmap", "cached"])
@pytest.mark.parametrize("pair", [("de", "en"), ("en", "de")])
def test_every_format_and_direction_is_counted_and_renumbered(stored, pair, tmp_path):
    for name in ("train", "train1", "valid"):
        write(tmp_path / f"{name}.de-en.de", stored)
    write(tmp_path / "test.de-fr.fr", stored)
    splits = open_splits(tmp_path, *pair)
    assert [(s.name, s.language, s.is_train) for s in splits] == [
        ("train", "de", True), ("train1", "de", True), ("valid", "de", False)
    ]  # fmt: skip
    counts = count_tokens(splits[:2], WORDS, lambda _: None)
    assert counts.tolist() == [0, 0, 0, 2, 2, 2, 4]
    numbers, done = torch.tensor([0, 1, 2, 3, 3, 4, 5]), []
    (tmp_path / "out").mkdir()
    renumber(splits[2], numbers, 6, tmp_path / "out", done.append)
    written = data_utils.load_indexed_dataset(str(tmp_path / "out" / "valid.de-en.de"), None)
    assert [s.tolist() for s in written] == [[3, 5, 5, 2], [2], [4, 3, 2]]
    assert sum(done) == len(SENTENCES)


def test_languages_are_those_of_the_files(tmp_path):
    assert language_pair(tmp_path) is None
    write(tmp_path / "test.de-fr.fr", "mmap")
    assert language_pair(tmp_path) == ("de", "fr")


def test_what_fairseq_would_read_as_text_is_refused(tmp_path):
    write(tmp_path / "test.de-en.en", "mmap")
    (tmp_path / "test.de-en.en").write_text("a b\n")
    with pytest.raises(ValueError, match="is stored as raw, which cannot be renumbered: binarise"):
        open_splits(tmp_path, "de", "en")
