"""SentencePiece models in the exported folder, and the way docs/exports.md uses it."""

import io
import re
from pathlib import Path

import pytest
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

from fairseq_prune.exports.ctranslate import convert
from tests.conftest import ROOT
from tests.exports import models

TEXT = "the cat sees the small dog and the dog sees the old house of the cat again"


@pytest.fixture
def spm(tmp_path: Path) -> Path:
    """A SentencePiece model of a sentence."""
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter([TEXT] * 5), model_writer=model, vocab_size=22, minloglevel=2
    )
    path = tmp_path / "spm.model"
    path.write_bytes(model.getvalue())
    return path


@pytest.fixture
def words(spm: Path) -> list[str]:
    pieces = SentencePieceProcessor(model_file=str(spm))
    return [pieces.id_to_piece(n) for n in range(3, pieces.get_piece_size())]


@pytest.fixture
def data(tmp_path: Path, words: list[str]) -> Path:
    return models.write_dictionaries(tmp_path / "data", words)


@pytest.fixture
def checkpoint(tmp_path: Path, words: list[str]) -> str:
    model, settings = models.build(words, max_target_positions=256)
    return models.write(tmp_path / "model.pt", model.state_dict(), settings)


def test_the_readmes_lines_translate_with_the_folder_alone(
    checkpoint: str,
    data: Path,
    spm: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "exported"
    written = convert(checkpoint, str(data), str(output), sentencepiece=[str(spm)])
    assert written.sentencepiece
    page = (ROOT / "docs/exports.md").read_text(encoding="utf-8")
    found = re.search(r"```python\n(import ctranslate2.*?)```", page, flags=re.S)
    assert found is not None
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    exec(compile(found.group(1), "exports.md", "exec"), {})
    assert capsys.readouterr().out.strip()


def test_one_model_in_the_data_folder_is_for_both(
    checkpoint: str, data: Path, spm: Path, tmp_path: Path
) -> None:
    spm.rename(data / "spm.model")
    written = convert(checkpoint, str(data), str(tmp_path / "out"))
    content = (data / "spm.model").read_bytes()
    assert written.sentencepiece
    for side in ("source", "target"):
        assert (tmp_path / "out" / f"{side}.spm.model").read_bytes() == content


def test_two_models_in_the_data_folder_say_their_languages(
    checkpoint: str, data: Path, spm: Path, tmp_path: Path
) -> None:
    (data / "spm.en.model").write_bytes(spm.read_bytes())
    spm.rename(data / "spm.de.model")
    assert convert(checkpoint, str(data), str(tmp_path / "out")).sentencepiece
    (data / "spm.en.model").rename(data / "other.model")
    assert not convert(checkpoint, str(data), str(tmp_path / "two")).sentencepiece


def test_a_model_that_does_not_fit_is_refused_or_left_out(spm: Path, tmp_path: Path) -> None:
    model, settings = models.build()
    checkpoint = models.write(tmp_path / "model.pt", model.state_dict(), settings)
    data = models.write_dictionaries(tmp_path / "data")
    sentence = "does not fit: most of the dictionary's tokens are no pieces of it"
    with pytest.raises(ValueError, match=f"^--sentencepiece {spm} {sentence}"):
        convert(checkpoint, str(data), str(tmp_path / "out"), sentencepiece=[str(spm)])
    with pytest.raises(ValueError, match="model.pt is no readable SentencePiece model"):
        convert(checkpoint, str(data), str(tmp_path / "out"), sentencepiece=[checkpoint])
    with pytest.raises(ValueError, match="takes one model or two, not 3"):
        convert(checkpoint, str(data), str(tmp_path / "out"), sentencepiece=[str(spm)] * 3)
    spm.rename(data / "spm.model")
    assert not convert(checkpoint, str(data), str(tmp_path / "out")).sentencepiece
