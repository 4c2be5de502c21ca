"""Sentences on disk: written once, read back, cut off."""

from pathlib import Path

import pytest

from fairseq_prune.evaluation.sentences import (
    Sentence,
    read_sentences,
    sentences_file,
    write_sentences,
)

ROW = {"data_digest": "d", "settings": {"gen_subset": "test", "remove_bpe": "sentencepiece"}}
TEST = [Sentence("Äpfel\u2028\x85 |", '"<script>\\', 3, 0), Sentence("", "", 0, None)]


def test_sentences_come_back_as_they_were_written(tmp_path: Path) -> None:
    name = write_sentences(tmp_path, ROW, TEST)
    assert read_sentences(tmp_path / name) == TEST
    assert name == sentences_file(ROW)


def test_they_are_written_once_and_mended_when_cut(tmp_path: Path) -> None:
    path = tmp_path / write_sentences(tmp_path, ROW, TEST)
    before = path.stat().st_ino
    write_sentences(tmp_path, ROW, TEST)
    assert path.stat().st_ino == before
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    write_sentences(tmp_path, ROW, TEST)
    assert path.read_bytes() == whole


def test_other_data_or_subwords_are_another_file_and_another_beam_is_not() -> None:
    settings = ROW["settings"]
    assert isinstance(settings, dict)
    assert sentences_file(ROW) != sentences_file(ROW | {"data_digest": "e"})
    assert sentences_file(ROW) != sentences_file(ROW | {"settings": {**settings, "remove_bpe": 0}})
    assert sentences_file(ROW) == sentences_file(ROW | {"settings": {**settings, "beam": 9}})


@pytest.mark.parametrize("content", ['{"source": "a"', '{"other": 1}\n', "[]\n", "x\n", "\xff\n"])
def test_what_is_cut_off_or_another_file_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "sentences.jsonl"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(ValueError) as error:
        read_sentences(path)
    assert str(error.value) == f"{path} is cut off or holds no sentences."
