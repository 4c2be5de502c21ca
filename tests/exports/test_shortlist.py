"""Lexical shortlists: what is in them, and translations with CTranslate2 over their words."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from fairseq_prune.bench.engines import Batch, ByCTranslate2
from fairseq_prune.cli.main import main
from fairseq_prune.evaluation.evaluate import evaluate
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.exports import shortlist
from fairseq_prune.exports.ctranslate import convert
from fairseq_prune.exports.forms import read_folder
from fairseq_prune.exports.shortlist import shortlist_of
from fairseq_prune.interface.translator import open_translator
from tests.conftest import ARCHES, TRAINING, run, train_here

LEARN = (
    *("--max-update", 150, "--lr", 0.005, "--weight-decay", 0, "--dropout", 0),
    *("--disable-validation", "--save-interval", 1000),
)
WORDS = "ab ba ca da ea fa ga ha ia ja ka la".split()
ALL = 10_000  # candidates: more than there are words


@pytest.fixture(scope="module")
def checkpoint(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("shortlist")
    train_here([corpus, *ARCHES["transformer"], *TRAINING, "--save-dir", folder, *LEARN])
    return str(folder / "checkpoint_last.pt")


def vocabularies(corpus: Path) -> tuple[list[str], list[str]]:
    found = []
    for language in ("de", "en"):
        lines = (corpus / f"dict.{language}.txt").read_text().splitlines()
        found.append(["<s>", "<pad>", "</s>", "<unk>", *(line.split()[0] for line in lines)])
    return found[0], found[1]


def made(corpus: Path, candidates: int) -> tuple[shortlist.Shortlist, dict[str, set[str]]]:
    """A shortlist, and the words of each rule in its file."""
    tokens = vocabularies(corpus)
    found = shortlist_of(corpus, ("de", "en"), tokens, candidates)
    rules = (line.split("\t") for line in found.text(tokens).splitlines())
    return found, {source: set(words.split()) for source, words in rules}


def test_the_likeliest_translation_comes_first_and_a_word_may_stay_itself(corpus: Path) -> None:
    _, rules = made(corpus, 1)
    assert len(rules.pop("") - {"<pad>"}) == 1
    rules = {word: words for word, words in rules.items() if word in WORDS}
    # the corpus writes each word in capitals; both sides have one dictionary
    assert rules == {word: {word.upper(), word} for word in WORDS}


def test_the_coverage_is_that_of_the_file(corpus: Path) -> None:
    found, rules = made(corpus, 2)
    always = rules.pop("")
    assert len(always - {"<pad>"}) == 2 and found.pairs == found.of == 120
    lines = [(corpus.parent / f"valid.{side}").read_text().splitlines() for side in ("de", "en")]
    inside = tokens = whole = size = 0
    for source, target in zip(*lines, strict=True):
        words = always.union(*(rules[word] for word in source.split()))
        there = [word in words for word in target.split()]
        inside, tokens, whole = inside + sum(there), tokens + len(there), whole + all(there)
        size += len(words) + 3  # <unk>, <s> and </s>
    assert found.coverage is not None and found.coverage.subset == "valid"
    assert found.coverage.tokens == inside / tokens
    assert found.coverage.sentences == whole / len(lines[0])
    assert found.coverage.words == size / len(lines[0])


def test_a_large_corpus_is_learnt_from_in_part(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shortlist, "_MOST", 1500)
    monkeypatch.setattr(shortlist, "_PART", 7)
    told: list[str] = []
    found = shortlist_of(corpus, ("de", "en"), vocabularies(corpus), 1, told.append)
    assert found.of == 120 and 20 < found.pairs < 60
    assert told[-1] == f"shortlist, pass 3 of 3, {found.pairs} of {found.pairs}"


@pytest.mark.parametrize("quantization", ["float32", "int8"])
@pytest.mark.parametrize("batch", [1, 7])
def test_with_all_words_translations_are_those_without_a_shortlist(
    quantization: str, batch: int, checkpoint: str, corpus: Path, tmp_path: Path
) -> None:
    lines = (corpus.parent / "train.de").read_text().splitlines()
    how: dict[str, Any] = {"beam": 3, "batch_size": batch, "max_len_b": 30}
    found = []
    for name, candidates in (("plain", None), ("all", ALL)):
        folder = str(tmp_path / name)
        convert(checkpoint, str(corpus), folder, quantization, shortlist=candidates)
        with open_translator(folder, **how) as translator:
            found.append(translator.translate(lines))
    assert len(set(found[0])) > 60
    assert found[0] == found[1]


def test_a_translation_has_only_words_of_the_list(
    checkpoint: str, corpus: Path, tmp_path: Path
) -> None:
    folder = str(tmp_path / "one")
    convert(checkpoint, str(corpus), folder, shortlist=1)
    _, rules = made(corpus, 1)
    always = rules.pop("")
    lines = (corpus.parent / "test.de").read_text().splitlines()
    with open_translator(folder, batch_size=1, max_len_b=30) as translator:
        for line, found in zip(lines, translator.translate(lines), strict=True):
            allowed = always.union({"<unk>"}, *(rules[word] for word in line.split()))
            assert set(found.split()) <= allowed


def test_evaluate_and_translate_say_the_same_and_perplexity_is_of_all_words(
    checkpoint: str, corpus: Path, tmp_path: Path
) -> None:
    names = ("plain", "short")
    for name, candidates in zip(names, (None, 1), strict=True):
        convert(checkpoint, str(corpus), str(tmp_path / name), shortlist=candidates)
    lines = [*(corpus.parent / "test.de").read_text().splitlines()]
    settings = Settings(data=str(corpus), max_len_b=30, batch_size=1, cpu=True)
    paths = [str(tmp_path / name) for name in names]
    plain, short = [
        row for row, _ in evaluate(paths, settings, None, str(tmp_path / "results.jsonl"))
    ]
    assert short["valid_nll"] == plain["valid_nll"] and short["bleu"] != plain["bleu"]
    assert short["made"] == ["exported to CTranslate2, float32, shortlist 1"]
    with open_translator(paths[1], max_len_b=30, batch_size=1) as translator:
        found = translator.translate(lines)
        assert found == (tmp_path / short["hypotheses"]).read_text().splitlines()
        (odd,) = translator.translate(["nothing of this"])  # as <unk>, which evaluate reads
    assert odd is not None


def test_bench_translates_with_it(checkpoint: str, corpus: Path, tmp_path: Path) -> None:
    lines = (corpus.parent / "test.de").read_text().splitlines()
    counts = []
    for name, candidates in (("plain", None), ("short", 1)):
        folder = str(tmp_path / name)
        convert(checkpoint, str(corpus), folder, shortlist=candidates)
        settings = Settings(data=str(corpus), valid_subset=None, max_len_b=30, cpu=True)
        engine = ByCTranslate2(folder, settings, 1)
        batches = (Batch((number,), None) for number in range(len(lines)))
        counts.append(sum(engine.translate(batch, 5) for batch in batches))
        with open_translator(folder, batch_size=1, max_len_b=30) as translator:
            made = translator.translate(lines)
        assert counts[-1] == sum(len(line.split()) + 1 for line in made)
    assert counts[0] != counts[1]


def test_the_folder_says_what_it_has_and_export_prints_it(
    checkpoint: str, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    words = ("export", checkpoint, "--format", "ctranslate2", "--data", corpus, "--output", output)
    assert main([*map(str, words), "--shortlist", "2"]) == 0
    out, _ = capsys.readouterr()
    said = json.loads((output / "config.json").read_text())["fairseq_prune"]["shortlist"]
    assert (said["kind"], said["candidates"], said["pairs"]) == ("IBM model 1", 2, 120)
    share = said["coverage"]["tokens"]
    assert (
        "shortlist: the 2 likeliest translations of each word and the 2 most frequent words, from "
        f"120 pairs of sentences; of valid's reference it covers {share:.2%} of the tokens and all "
    ) in out
    assert main([*map(str, words), "--force", "--shortlist"]) == 0
    assert read_folder(str(output)).made["shortlist"]["candidates"] == 100


@pytest.fixture
def refused(checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Calls export, which has to refuse and to leave no folder; gives its sentence."""

    def run(*words: Any, kind: str = "ctranslate2") -> str:
        capsys.readouterr()
        output = tmp_path / "out"
        words = ("export", checkpoint, "--format", kind, "--output", output, *words)
        assert main([str(word) for word in words]) == 2
        out, err = capsys.readouterr()
        assert out == "" and not output.exists()
        return err.removeprefix("fairseq-prune: ").rstrip("\n")

    return run


def test_what_no_shortlist_can_be_made_of(refused: Any, corpus: Path, tmp_path: Path) -> None:
    assert refused("--shortlist", kind="compact") == (
        "--shortlist 100 has no effect with --format compact; it is for ctranslate2 and torch-int8."
    )
    assert refused("--shortlist", 0, "--data", corpus) == (
        "--shortlist 0 must be 1 or more candidates a word."
    )
    data = tmp_path / "bin"
    shutil.copytree(corpus, data)
    for path in data.glob("train.*"):
        path.unlink()
    assert refused("--shortlist", "--data", data) == (
        f"--shortlist is made of the training data, and --data {data} has no binarised train of de "
        "and en: give the folder that the model was trained on."
    )


def test_a_training_set_of_another_dictionary(refused: Any, corpus: Path, tmp_path: Path) -> None:
    other, data = tmp_path / "other", tmp_path / "bin"
    text = tmp_path / "text"
    for side in ("de", "en"):
        Path(f"{text}.{side}").write_text(" ".join(f"w{n}" for n in range(99)) + "\n")
    run("fairseq-preprocess", "-s", "de", "-t", "en", "--trainpref", text, "--destdir", other)
    shutil.copytree(corpus, data)
    for path in other.glob("train.*"):
        shutil.copy(path, data)
    sentence = refused("--shortlist", "--data", data)
    assert "has the token number" in sentence and "its dictionary has only" in sentence
    shutil.copy(corpus / "train.de-en.de.bin", data)
    shutil.copy(corpus / "train.de-en.de.idx", data)
    assert "they are no translations of each other" in refused("--shortlist", "--data", data)


def test_without_a_validation_set_there_is_no_coverage(
    checkpoint: str, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "bin"
    shutil.copytree(corpus, data)
    for path in data.glob("valid.*"):
        path.unlink()
    words = ("export", checkpoint, "--format", "ctranslate2", "--data", data, "--output",
             tmp_path / "out", "--shortlist")  # fmt: skip
    assert main([str(word) for word in words]) == 0
    assert "DATA has no valid set to measure its coverage on" in capsys.readouterr().out
    assert read_folder(str(tmp_path / "out")).made["shortlist"]["coverage"] is None


def test_a_shortlist_that_is_gone_or_changed(checkpoint: str, corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    convert(checkpoint, str(corpus), str(folder), shortlist=2)
    with (folder / "vmap.txt").open("a") as file:
        file.write("ab\tAB\n")
    with pytest.raises(ValueError, match=f"^{folder}/vmap.txt is not the shortlist that was exp"):
        read_folder(str(folder))
    (folder / "vmap.txt").unlink()
    with pytest.raises(ValueError, match=f"^{folder} lacks vmap.txt, its shortlist: export it ag"):
        read_folder(str(folder))
