"""The texts that are scored, tokenized BLEU beside sacreBLEU, and what old results see of it."""

import hashlib
import json
import math
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fairseq_prune.evaluation.evaluate import tokenized
from fairseq_prune.evaluation.scores import score, tokenized_bleu
from fairseq_prune.evaluation.sentences import Sentence, sentences_file
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.evaluation.texts import Moses, Texts, split_compounds, texts_of

ESCAPED = [
    "&quot; I &apos;ve read it , &quot; she said .",
    "Is the R &amp; D budget &#91; of 2013 &#93; too high ?",
    "A rich ##AT##-##AT## text format , a well-known one .",
]
PLAIN = [
    '"I\'ve read it," she said.',
    "Is the R & D budget [of 2013] too high?",
    "A rich-text format, a well-known one.",
]
WORSE = [
    "&quot; I &apos;ve seen it , &quot; he said .",
    "Is the R &amp; D budget of 2013 too high ?",
    "A rich ##AT##-##AT## text format , a known one .",
]


class Made:
    """Translations as the decoder gives them."""

    def __init__(self, hypotheses: list[str], targets: list[str]) -> None:
        self.hypotheses = hypotheses
        self.targets = targets
        self.sentences = [Sentence("das ist es .", text, 4, 1) for text in targets]


def texts(hypotheses: list[str], targets: list[str], **settings: Any) -> Texts:
    made: Any = Made(hypotheses, targets)
    return texts_of(Settings(data="", **settings), made, ("de", "en"))


def multi_bleu(hypotheses: list[str], references: list[str]) -> float:
    """The definition of multi-bleu.perl, one reference a sentence."""
    matched, there, lengths = Counter[int](), Counter[int](), [0, 0]
    for pair in zip(hypotheses, references, strict=True):
        words = [line.split() for line in pair]
        lengths = [n + len(w) for n, w in zip(lengths, words, strict=True)]
        for n in range(1, 5):
            grams, wanted = (Counter(zip(*(w[i:] for i in range(n)), strict=False)) for w in words)
            matched[n] += (grams & wanted).total()
            there[n] += grams.total()
    precisions = [matched[n] / there[n] for n in range(1, 5)]
    penalty = min(1.0, math.exp(1 - lengths[1] / lengths[0]))
    return 100 * penalty * math.exp(sum(map(math.log, precisions)) / 4)


def test_the_tokenized_bleu_is_that_of_multi_bleu() -> None:
    short = [line.rsplit(" ", 3)[0] for line in ESCAPED]
    for system in (WORSE, short):
        expected = multi_bleu(system, ESCAPED)
        assert 1 < expected < 99
        assert tokenized_bleu(system, ESCAPED)[0] == pytest.approx(expected, abs=1e-9)


def test_the_tokenized_bleu_is_that_of_sacrebleus_command_line(tmp_path: Path) -> None:
    files = []
    for name, lines in (("reference", ESCAPED), ("system", WORSE)):
        files.append(tmp_path / name)
        files[-1].write_text("".join(line + "\n" for line in lines))
    command = [sys.executable, "-m", "sacrebleu", files[0], "-i", files[1], "--force"]
    said = subprocess.run(
        [*command, "--tokenize", "none", "-w", "6", "-b"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    bleu, signature = tokenized_bleu(WORSE, ESCAPED)
    assert float(said.stdout) == pytest.approx(bleu, abs=1e-6)
    assert "tok:none" in signature


@pytest.mark.parametrize("text, lines", [("moses", ESCAPED), ("raw", PLAIN)], ids=["moses", "raw"])
def test_a_perfect_translation_has_a_hundred_of_each(text: str, lines: list[str]) -> None:
    found = texts(lines, lines, text=text)
    row = tokenized(found, split=True)
    for bleu in (
        score(found.hypotheses, found.references).bleu,
        row["tokenized_bleu"],
        row["tokenized_bleu_split"],
    ):
        assert bleu == pytest.approx(100)


def test_moses_data_are_scored_as_plain_text_and_as_they_are() -> None:
    found = texts(WORSE, ESCAPED, text="moses")
    assert found.references == PLAIN
    assert found.hypotheses == [Moses("en").plain(line) for line in WORSE]
    assert found.sentences[0].source == "das ist es."
    row = tokenized(found, split=False)
    assert row["tokenized_bleu"] == tokenized_bleu(WORSE, ESCAPED)[0]
    assert row["tokenized_bleu_signature"].startswith("tokens:data|nrefs:1|")
    assert row["bleu_text"].startswith("text:moses|detok:sacremoses-")
    assert row["bleu_text"].endswith("-en|ref:own")
    assert "tokenized_bleu_split" not in row


def test_a_raw_reference_is_sacrebleus_and_the_data_are_the_tokenized_bleus(
    tmp_path: Path,
) -> None:
    reference = tmp_path / "test.en"
    reference.write_text("".join(line.upper() + "\n" for line in PLAIN))
    found = texts(WORSE, ESCAPED, text="moses", reference=str(reference))
    assert found.references == [line.upper() for line in PLAIN]
    assert found.tokens == (WORSE, ESCAPED)
    assert found.about is not None and found.about.endswith("|ref:file")
    reference.write_text("one\n")
    with pytest.raises(ValueError) as error:
        texts(WORSE, ESCAPED, text="moses", reference=str(reference))
    assert str(error.value) == (
        "There are 3 translations but 1 references; give the reference of the same sentences."
    )


def test_raw_data_are_sacrebleus_as_ever_and_tokenized_on_both_sides() -> None:
    system = ["I've read it, he said.", *PLAIN[1:]]
    found, plain = texts(system, PLAIN, text="raw"), texts(system, PLAIN)
    assert (found.hypotheses, found.sentences) == (plain.hypotheses, plain.sentences)
    assert plain.tokens is None and tokenized(plain, split=False) == {}
    assert found.tokens is not None
    assert found.tokens[0][0] == "I 've read it , he said ."
    assert found.tokens[1][2] == "A rich-text format , a well-known one ."
    row = tokenized(found, split=True)
    assert row["tokenized_bleu_signature"].startswith("tokens:sacremoses-")
    assert "|compounds:split|" in row["tokenized_bleu_split_signature"]
    # a half of a compound that is right counts
    assert row["tokenized_bleu_split"] > row["tokenized_bleu"]


@pytest.mark.parametrize(
    "line, expected",
    [
        ("a well-known one", "a well ##AT##-##AT## known one"),
        ("rich ##AT##-##AT## text", "rich ##AT##-##AT## text"),
        ("rich @-@ text", "rich @-@ text"),
        ("from - to -5 , so-", "from - to -5 , so-"),
        ("a-b-c", "a ##AT##-##AT## b-c"),
        ("mother-in-law", "mother ##AT##-##AT## in ##AT##-##AT## law"),
    ],
)
def test_compounds_are_split_at_hyphens_inside_words(line: str, expected: str) -> None:
    assert split_compounds(line) == expected


def test_detokenizing_undoes_what_moses_and_stanford_did() -> None:
    lines = ["rich ##AT##-##AT## text , 3 ##STAR## a@b", "non @-@ stop &#124; x ##UNDERSCORE## y"]
    assert [Moses("en").plain(line) for line in lines] == [
        "rich-text, 3 * a@b", "non-stop | x _ y",
    ]  # fmt: skip


def test_a_language_that_sacremoses_does_not_know_has_general_rules() -> None:
    assert Moses("vi").plain("Tôi nói : &quot; Không . &quot;") == 'Tôi nói: "Không."'
    assert Moses("vi").tokens("Tôi nói: không.") == "Tôi nói : không ."


@pytest.mark.parametrize("text", ["moses", "raw"])
def test_unknown_words_match_nothing(text: str) -> None:
    found = texts(["<unk> <unk> <unk> <unk>"], ["<<unk>> <<unk>> <<unk>> <<unk>>"], text=text)
    assert tokenized_bleu(*(found.tokens or ([], [])))[0] == 0
    if text == "moses":
        assert score(found.hypotheses, found.references).chrf == 0


def test_lower_cased_data_are_said_to_be() -> None:
    lower = [line.lower() for line in ESCAPED[:2]]
    about = texts(lower, lower, text="moses").about
    assert about is not None and about.endswith("|data:lower-cased")


def test_data_without_a_target_have_no_tokens_to_compare_with() -> None:
    with pytest.raises(ValueError) as error:
        texts(["a"], [""], text="moses")
    assert str(error.value) == (
        "--text moses compares tokens with the subset's own target, which is not in the data."
    )


def test_settings_without_text_identify_a_result_as_before() -> None:
    before = {
        "gen_subset", "valid_subset", "beam", "lenpen", "max_len_a", "max_len_b", "max_tokens",
        "batch_size", "remove_bpe", "source_lang", "target_lang", "has_reference",
    }  # fmt: skip
    assert set(Settings(data="").deciding()) == before
    assert set(Settings(data="", text="raw").deciding()) == before | {"text"}
    both = Settings(data="", text="raw", split_compounds=True)
    assert set(both.deciding()) == before | {"text", "split_compounds"}


def test_the_sentences_of_results_without_text_are_where_they_were() -> None:
    old = {"data_digest": "d", "settings": Settings(data="", remove_bpe="@@ ").deciding()}
    deciding = ["d", "test", "@@ ", None, None, False]
    digest = hashlib.sha256(json.dumps(deciding).encode()).hexdigest()[:16]
    assert sentences_file(old) == f"sentences/{digest}.jsonl"
    new = Settings(data="", remove_bpe="@@ ", text="moses").deciding()
    assert sentences_file({**old, "settings": new}) != sentences_file(old)


@pytest.mark.parametrize(
    "settings, sentence",
    [
        ({"text": "html"}, "--text html must be raw or moses."),
        (
            {"split_compounds": True},
            "--split-compounds is for the tokenized BLEU; give --text raw or --text moses with it.",
        ),
        (
            {"text": "moses"},
            "--text moses needs sacremoses, which is not installed: pip install sacremoses.",
        ),
    ],
    ids=["another", "compounds alone", "no sacremoses"],
)
def test_what_cannot_work_is_refused(
    settings: dict[str, Any], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sacremoses", None)  # type: ignore[arg-type]
    with pytest.raises(ValueError) as error:
        Settings(data="", **settings).check_text()
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    "target, source, escaped",
    [("&apos;s 3\n", "", True), ("a 1\n&quot; 3\n", "", True), ("a 3\n", "&quot; 3\n", False)],
)
def test_escapes_are_seen_in_the_dictionary_of_the_target(
    target: str, source: str, escaped: bool, tmp_path: Path
) -> None:
    (tmp_path / "dict.vi.txt").write_text(target)
    (tmp_path / "dict.en.txt").write_text(source)
    (tmp_path / "test.en-vi.vi.idx").write_bytes(b"")
    assert Settings(data=str(tmp_path)).looks_escaped() is escaped
