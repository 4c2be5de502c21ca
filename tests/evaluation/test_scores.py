"""Scores against sacreBLEU's own command line's conventions, and their bounds."""

import math
from pathlib import Path

import pytest
import sacrebleu

from fairseq_prune.evaluation.scores import perplexity, read_lines, score

REFERENCE = ["the cat sat on the mat .", "there is a dog in the garden ."]


def test_a_perfect_translation_has_a_hundred_bleu_and_no_penalty() -> None:
    found = score(REFERENCE, REFERENCE)
    assert found.bleu == pytest.approx(100)
    assert found.chrf == pytest.approx(100)
    assert found.brevity_penalty == 1
    assert found.length_ratio == 1


def test_the_score_is_that_of_sacrebleu() -> None:
    system = ["the cat sat on a mat .", "there was a dog in the garden ."]
    assert score(system, REFERENCE).bleu == sacrebleu.corpus_bleu(system, [REFERENCE]).score


def test_a_short_translation_shows_in_penalty_and_ratio() -> None:
    # 7 + 8 words in the reference, 4 + 4 here: exp(1 - 15/8)
    found = score(["the cat sat on", "there is a dog"], REFERENCE)
    assert found.length_ratio == pytest.approx(8 / 15)
    assert found.brevity_penalty == pytest.approx(math.exp(1 - 15 / 8))


def test_the_signature_names_tokenizer_and_version() -> None:
    signature = score(REFERENCE, REFERENCE).bleu_signature
    assert "tok:13a" in signature
    assert f"version:{sacrebleu.__version__}" in signature


def test_a_reference_of_other_sentences_is_refused() -> None:
    with pytest.raises(ValueError) as error:
        score(["one"], ["one", "two"])
    assert str(error.value) == (
        "There are 1 translations but 2 references; give the reference of the same sentences."
    )


def test_only_a_line_feed_ends_a_line(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("one\u2028still one\n\nthree\n", encoding="utf-8")
    assert read_lines(path) == ["one\u2028still one", "", "three"]


@pytest.mark.parametrize("nll, ppl", [(0.0, 1.0), (3.0, 8.0), (math.nan, None), (5000.0, None)])
def test_perplexity_is_two_to_the_bits_a_token(nll: float, ppl: float | None) -> None:
    assert perplexity(nll) == ppl
