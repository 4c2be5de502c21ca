"""Translating lines of text: what fairseq-interactive prints, and what evaluate decodes."""

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
from subword_nmt.apply_bpe import BPE
from subword_nmt.learn_bpe import learn_bpe

import fairseq_prune
from fairseq_prune.evaluation.decode import Decoder
from fairseq_prune.evaluation.settings import Settings
from tests.conftest import TRAINING, run, train_here
from tests.evaluation.conftest import TRANSFORMER, Small, Trained

BAR = "\N{LOWER ONE EIGHTH BLOCK}"


def interactive(model: Small, lines: list[str], folder: Path, *flags: Any) -> list[str]:
    """The translations that fairseq-interactive prints."""
    (folder / "lines").write_text("".join(line + "\n" for line in lines))
    out = run(
        "fairseq-interactive", model.data, "--path", model.checkpoint, "--cpu", "--input",
        folder / "lines", "--source-lang", "de", "--target-lang", "en", *flags,
    )  # fmt: skip
    return re.findall(r"^D-\d+\t[^\t]+\t(.*)$", out, flags=re.M)


@pytest.fixture
def plain(trained: Trained) -> Small:
    return trained("plain")


@pytest.fixture
def lines(corpus: Path) -> list[str]:
    return (corpus.parent / "test.de").read_text().splitlines()


def test_lines_are_translated_as_by_fairseq_interactive(
    plain: Small, lines: list[str], tmp_path: Path
) -> None:
    lines = [*lines, "nothing of this is known", "  ab   ba "]
    found = fairseq_prune.open_checkpoint(plain.checkpoint).translate(lines, plain.data, beam=3)
    assert found == interactive(plain, lines, tmp_path, "--beam", 3)
    assert len(set(found)) > 3


def test_an_empty_line_stays_empty(plain: Small) -> None:
    checkpoint = fairseq_prune.open_checkpoint(plain.checkpoint)
    known, other = checkpoint.translate(["ab ba", "ca"], plain.data)
    found = checkpoint.translate(["", "ab ba", " \t ", "ca", "\r"], plain.data)
    assert found == ["", known, "", other, ""]


def test_lines_of_the_data_are_translated_as_by_evaluate(plain: Small, lines: list[str]) -> None:
    decoder = Decoder(Settings(data=plain.data, beam=2, lenpen=0.5))
    decoder.open(plain.checkpoint)
    checkpoint = fairseq_prune.open_checkpoint(plain.checkpoint)
    for batch in ({}, {"batch_size": 7}, {"max_tokens": 60}):
        found = checkpoint.translate(lines, plain.data, beam=2, lenpen=0.5, **batch)
        assert found == decoder.translate("test").hypotheses


def test_moses_cuts_up_and_joins_as_for_fairseq_interactive(plain: Small, tmp_path: Path) -> None:
    text = ["Ab, ba.", "ca da-ea"]
    found = fairseq_prune.open_checkpoint(plain.checkpoint).translate(
        text, plain.data, tokenizer="moses"
    )
    assert found == interactive(plain, text, tmp_path, "--tokenizer", "moses")


@pytest.fixture(scope="session", params=["sentencepiece", "subword_nmt"])
def cut_up(
    request: pytest.FixtureRequest, corpus: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, Small]:
    """A kind of subwords, the file that says how text is cut into them, and a model of them."""
    kind, folder = request.param, tmp_path_factory.mktemp("subwords")
    text = "".join((corpus.parent / f"train.{side}").read_text() for side in ("de", "en"))
    says, cut = CUTTERS[kind](text, folder)
    for split in ("train", "valid", "test"):
        for side in ("de", "en"):
            lines = (corpus.parent / f"{split}.{side}").read_text().splitlines()
            (folder / f"{split}.{side}").write_text("".join(cut(line) + "\n" for line in lines))
    run(
        "fairseq-preprocess", "-s", "de", "-t", "en", "--joined-dictionary",
        *(f"--{split}pref={folder / split}" for split in ("train", "valid", "test")),
        f"--destdir={folder / 'bin'}",
    )  # fmt: skip
    train_here(
        [
            folder / "bin",
            *TRANSFORMER.split(),
            *TRAINING,
            "--max-update",
            "60",
            "--save-dir",
            folder,
        ]
    )
    return kind, says, Small(str(folder / "checkpoint_last.pt"), str(folder / "bin"))


def _sentencepiece(text: str, folder: Path) -> tuple[Path, Callable[[str], str]]:
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(text.splitlines()), model_writer=model, vocab_size=36, minloglevel=2
    )
    path = folder / "spm.model"
    path.write_bytes(model.getvalue())
    pieces = SentencePieceProcessor(model_file=str(path))
    return path, lambda line: " ".join(pieces.encode(line, out_type=str))


def _subword_nmt(text: str, folder: Path) -> tuple[Path, Callable[[str], str]]:
    path = folder / "codes"
    with path.open("w") as file:
        learn_bpe(io.StringIO(text), file, 12)
    with path.open() as file:
        return path, BPE(file).process_line


CUTTERS = {"sentencepiece": _sentencepiece, "subword_nmt": _subword_nmt}


def test_text_is_cut_into_subwords_and_joined(
    cut_up: tuple[str, Path, Small], lines: list[str], tmp_path: Path
) -> None:
    kind, says, model = cut_up
    checkpoint = fairseq_prune.open_checkpoint(model.checkpoint)
    argument, flag = ("sentencepiece", "--sentencepiece-model")
    if kind == "subword_nmt":
        argument, flag = ("bpe_codes", "--bpe-codes")
    found = checkpoint.translate(lines, model.data, **{argument: says})
    assert found == interactive(model, lines, tmp_path, "--bpe", kind, flag, says)
    settings = Settings(data=model.data, remove_bpe=kind)
    decoder = Decoder(settings)
    decoder.open(model.checkpoint)
    assert found == decoder.translate("test").hypotheses
    assert not any(BAR in line or "@@" in line for line in found)
    if kind == "sentencepiece":  # a model in the data is found
        place = Path(model.data, "spm.model")
        place.write_bytes(says.read_bytes())
        try:
            assert checkpoint.translate(lines, model.data) == found
        finally:
            place.unlink()


def test_subwords_that_nothing_makes_are_asked_for(
    cut_up: tuple[str, Path, Small], lines: list[str], tmp_path: Path
) -> None:
    kind, says, model = cut_up
    checkpoint = fairseq_prune.open_checkpoint(model.checkpoint)
    lacking = "--sentencepiece MODEL" if kind == "sentencepiece" else "--bpe-codes FILE"
    with pytest.raises(ValueError, match=f"are subwords .* give {lacking}, or --tokens for "):
        checkpoint.translate(lines, model.data)
    tokens = [BAR + "a b", "a@@ b"]
    found = checkpoint.translate(tokens, model.data, tokens=True)
    assert found == interactive(model, tokens, tmp_path)
    assert any(BAR in line or "@@" in line for line in found)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"lines": "Guten Morgen!"}, "must be a list of lines, not one text"),
        ({"data": "nowhere"}, "--data nowhere holds no dict.*.txt"),
        ({"beam": 0}, "--beam 0 must be 1 or more"),
        ({"beams": 3}, "beams is no flag of decoding; they are batch_size, beam, cpu"),
        ({"gen_subset": "valid"}, "gen_subset is no flag of decoding"),
        ({"tokenizer": "mozart"}, "tokenizer mozart is none of fairseq's: moses, nltk, space"),
        ({"tokens": True, "tokenizer": "moses"}, "nothing is to be cut up, and tokenizer how"),
        ({"sentencepiece": "a", "bpe_codes": "b"}, "give one of them"),
        ({"bpe_codes": "b"}, "bpe_codes b is not a file"),
        ({"sentencepiece": "a"}, "--sentencepiece a is no readable SentencePiece model"),
        ({"source_lang": "en", "target_lang": "fr"}, "fairseq cannot use --data"),
        (
            {"lines": ["ab", "ab " * 2000]},
            "the line that begins with 'ab ab ab ab ab ab ab ab ab ab ab ab ab a' has 2,001 "
            "tokens, its end included, and",
        ),
        ({"batch_size": 0}, "--batch-size 0 must be 1 or more"),
    ],
)
def test_what_cannot_be_translated_is_one_sentence(
    arguments: dict[str, Any], why: str, plain: Small, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    checkpoint = fairseq_prune.open_checkpoint(plain.checkpoint)
    with pytest.raises(ValueError, match=re.escape(why)):
        checkpoint.translate(**{"lines": ["ab"], "data": plain.data, **arguments})


def test_no_lines_have_no_translations(plain: Small) -> None:
    assert fairseq_prune.open_checkpoint(plain.checkpoint).translate([], plain.data) == []


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("lm", "it is of task language_modeling, which has perplexity only"),
        ("two pairs", "it is of several language pairs (de-en, en-de); name one with -s and -t"),
    ],
)
def test_a_model_that_does_not_translate_says_so(kind: str, why: str, trained: Trained) -> None:
    model = trained(kind)
    with pytest.raises(ValueError, match=re.escape(why)):
        fairseq_prune.open_checkpoint(model.checkpoint).translate(["ab"], model.data)


def test_a_model_of_several_pairs_translates_the_one_that_is_named(
    trained: Trained, lines: list[str]
) -> None:
    model = trained("two pairs")
    settings = Settings(data=model.data, source_lang="de", target_lang="en")
    found = fairseq_prune.open_checkpoint(model.checkpoint).translate(
        lines, model.data, source_lang="de", target_lang="en"
    )
    decoder = Decoder(settings)
    decoder.open(model.checkpoint)
    assert found == decoder.translate("test").hypotheses
