"""Evaluation against stock fairseq-generate and fairseq-validate, and what it skips."""

import json
import re
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sacrebleu.metrics import BLEU

from fairseq_prune.checkpoints.counts import count
from fairseq_prune.cli.evaluate import left, scores
from fairseq_prune.cli.main import main
from fairseq_prune.evaluation import results
from fairseq_prune.evaluation.evaluate import evaluate
from fairseq_prune.evaluation.sentences import Sentence, read_sentences
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.tasks.opening import open_checkpoint
from tests.conftest import ARCHES, TRAINING, run, train_here

EPOCHS = ("--max-epoch", 30, "--weight-decay", 0, "--dropout", 0)
RATES = {"lstm": 0.03, "transformer": 0.01}


@pytest.fixture(scope="module", params=sorted(ARCHES))
def checkpoint(
    request: pytest.FixtureRequest, corpus: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A small model that has learnt enough not to say the same for every sentence."""
    folder = tmp_path_factory.mktemp(request.param)
    train_here([corpus, *ARCHES[request.param], *TRAINING, "--save-dir", folder, *EPOCHS,
                "--lr", RATES[request.param]])  # fmt: skip
    return folder / "checkpoint_last.pt"


@pytest.fixture(scope="module")
def rows(
    checkpoint: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, dict[str, Any]]]:
    output = tmp_path_factory.mktemp("results") / "not yet" / "results.jsonl"
    ((row, _),) = evaluate([str(checkpoint)], Settings(data=str(corpus), cpu=True),
                           {"stage": "dense"}, str(output))  # fmt: skip
    yield output, row


def test_hypotheses_and_bleu_are_those_of_fairseq_generate(
    rows: tuple[Path, dict[str, Any]], checkpoint: Path, corpus: Path
) -> None:
    output, row = rows
    stock = run(
        "fairseq-generate", corpus, "--path", checkpoint, "--beam", 5, "--lenpen", 1,
        "--cpu", "--scoring", "sacrebleu",
    )  # fmt: skip
    found = sorted(
        re.findall(r"^D-(\d+)\t\S+\t(.*)$", stock, re.MULTILINE), key=lambda p: int(p[0])
    )
    hypotheses = [text for _, text in found]
    assert (output.parent / row["hypotheses"]).read_text() == "".join(h + "\n" for h in hypotheses)
    assert len(set(hypotheses)) > 1
    bleu = re.search(r"BLEU = ([\d.]+) .*BP = ([\d.]+) ratio = ([\d.]+)", stock)
    assert bleu is not None
    assert [float(part) for part in bleu.groups()] == pytest.approx(
        [row["bleu"], row["brevity_penalty"], row["length_ratio"]], abs=0.006
    )


def test_sentences_are_left_beside_the_results(
    rows: tuple[Path, dict[str, Any]], corpus: Path
) -> None:
    output, row = rows
    found = read_sentences(output.parent / row["sentences_file"])
    source = (corpus.parent / "test.de").read_text().splitlines()
    counts = dict(line.split() for line in (corpus / "dict.en.txt").read_text().splitlines())
    for sentence, text in zip(found, source, strict=True):
        words = text.upper().split()[::-1]
        assert sentence == Sentence(
            source=text, reference=" ".join(words), source_tokens=len(words),
            rarest=min(int(counts.get(word, 0)) for word in words),
        )  # fmt: skip


def test_the_tokenized_bleu_stands_beside_sacrebleu_with_its_tokens(
    rows: tuple[Path, dict[str, Any]], checkpoint: Path, corpus: Path, tmp_path: Path
) -> None:
    output, row = rows
    settings = Settings(data=str(corpus), cpu=True, text="moses", split_compounds=True)
    ((with_text, known),) = evaluate([str(checkpoint)], settings, None, str(tmp_path / "r.jsonl"))
    assert not known
    tokens = (output.parent / row["hypotheses"]).read_text()
    assert (tmp_path / with_text["tokenized_hypotheses"]).read_text() == tokens
    targets = [s.reference for s in read_sentences(output.parent / row["sentences_file"])]
    expected = BLEU(tokenize="none").corpus_score(tokens.splitlines(), [targets])
    assert with_text["tokenized_bleu"] == with_text["tokenized_bleu_split"] == expected.score
    assert with_text["bleu_text"].endswith("-en|ref:own")
    # words of letters are plain text already
    assert (with_text["bleu"], with_text["chrf"]) == (row["bleu"], row["chrf"])


def test_perplexity_is_what_fairseq_validate_logs(
    rows: tuple[Path, dict[str, Any]], checkpoint: Path, corpus: Path
) -> None:
    stock = run(
        "fairseq-validate", corpus, "--task", "translation", "--path", checkpoint, "--cpu",
        "--max-tokens", 200, "--valid-subset", "valid", "--no-progress-bar",
    )  # fmt: skip
    logged = re.search(r"\| nll_loss ([\d.]+) \| ppl ([\d.]+)", stock)
    assert logged is not None
    assert rows[1]["valid_nll"] == pytest.approx(float(logged[1]), abs=0.0006)
    assert rows[1]["valid_ppl"] == pytest.approx(float(logged[2]), rel=0.002, abs=0.006)


def test_what_is_known_is_not_decoded_again(
    rows: tuple[Path, dict[str, Any]], checkpoint: Path, corpus: Path
) -> None:
    output, row = rows
    before = output.read_bytes()
    again = evaluate([str(checkpoint)], Settings(data=str(corpus)), {"stage": "dense"}, str(output))
    assert list(again) == [(row, True)]
    assert output.read_bytes() == before


@pytest.fixture
def fake(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint that no model reads: measuring it gives 7 BLEU."""
    path = tmp_path / "fake.pt"
    torch.save({"model": {}}, path)
    answer = {"bleu": 7.0, "test_ppl": 2.0, "chrf": 1.0, "brevity_penalty": 1.0,
              "length_ratio": 1.0, "bleu_signature": "s"}  # fmt: skip
    monkeypatch.setattr("fairseq_prune.evaluation.evaluate._measure", lambda *_: answer)
    decoder = Namespace(close=bool)
    monkeypatch.setattr("fairseq_prune.evaluation.evaluate.decoder_of", lambda *_: decoder)
    return path


def test_another_beam_file_reference_or_tag_is_another_measurement(
    fake: Path, corpus: Path, tmp_path: Path
) -> None:
    output, reference = str(tmp_path / "results.jsonl"), tmp_path / "reference"
    reference.write_text("a\n")

    def known(tags: dict[str, str] | None = None, **settings: Any) -> bool:
        chosen = Settings(data=str(corpus), **settings)
        return next(evaluate([str(fake)], chosen, tags, output))[1]

    assert [known(), known()] == [False, True]
    assert known(also=[])  # as the command line says it where no --also is given
    assert [known(beam=4), known(beam=4)] == [False, True]
    assert [known({"a": "b"}), known({"a": "b"})] == [False, True]
    assert [known(reference=str(reference)), known(reference=str(reference))] == [False, True]
    reference.write_text("b\n")
    assert not known(reference=str(reference))
    torch.save({"model": {}, "another": 1}, fake)
    assert not known()


def test_json_gives_a_line_for_each_checkpoint(
    fake: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(fake), str(fake), "--data", str(corpus), "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["bleu"] for line in lines] == [7.0, 7.0]


def test_the_two_bleu_scores_are_named_apart(
    fake: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"bleu": 27.311, "test_ppl": 2.0, "chrf": 1.0, "brevity_penalty": 1.0,
           "length_ratio": 1.0, "bleu_signature": "s", "bleu_text": "text:raw|ref:own",
           "tokenized_bleu": 28.5, "tokenized_bleu_signature": "t",
           "tokenized_bleu_split": 29.25, "tokenized_bleu_split_signature": "u"}  # fmt: skip
    monkeypatch.setattr("fairseq_prune.evaluation.evaluate._measure", lambda *_: row)
    command = ["evaluate", str(fake), "--data", str(corpus), "--text", "raw", "--split-compounds"]
    assert main(command) == 0
    first, _, *signed = capsys.readouterr().out.splitlines()
    scores = "BLEU 27.31 (sacreBLEU)  tokenized BLEU 28.50 (compounds split 29.25)  chrF 1.00"
    assert scores in first
    assert signed == ["sacreBLEU s|text:raw|ref:own", "tokenized BLEU t", "tokenized BLEU u"]


def test_escaped_data_without_text_are_warned_of(
    fake: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", str(fake), "--data", str(corpus)]
    assert main(command) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(Settings, "looks_escaped", lambda _: True)
    assert main(command) == 0
    assert capsys.readouterr().err == (
        "fairseq-prune: warning: the target has HTML escapes (&apos; or &quot;), so sacreBLEU "
        "would be of tokens; give --text moses.\n"
    )
    assert main([*command, "--text", "moses"]) == 0
    assert capsys.readouterr().err == ""


REFUSED = [
    (["--beam", "0"], "--beam 0 must be 1 or more."),
    (
        ["--split-compounds"],
        "--split-compounds is for the tokenized BLEU; give --text raw or --text moses with it.",
    ),
    (["--tag", "x"], "--tag x must be NAME=VALUE, for example stage=retrained."),
    (
        ["--gen-subset", "tset"],
        "--data {bin} has no subset 'tset'; it has test and train and valid.",
    ),
    (
        ["--reference", "nowhere"],
        "--reference nowhere is not a file; give the raw target text of the test set.",
    ),
    (
        ["--data", "nowhere"],
        "--data nowhere holds no dict.*.txt; give the folder that fairseq-preprocess made.",
    ),
    (["missing.pt"], "missing.pt is not a file; give the path of a fairseq checkpoint."),
]


@pytest.mark.parametrize("flags, sentence", REFUSED, ids=[f[0] for f, _ in REFUSED])
def test_bad_input_is_refused_in_a_sentence_before_any_work(
    flags: list[str], sentence: str, fake: Path, corpus: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    output = tmp_path / "out.jsonl"
    first = flags if flags[0].startswith("--") else []
    extra = [] if first else flags
    command = ["evaluate", str(fake), *extra, "--data", str(corpus), *first]
    assert main([*command, "--output", str(output)]) == 2
    assert capsys.readouterr().err == f"fairseq-prune: {sentence.format(bin=corpus)}\n"
    assert not output.exists()


def test_a_row_of_an_earlier_version_learns_how_its_checkpoint_came_to_be(
    fake: Path, corpus: Path, tmp_path: Path
) -> None:
    output, settings = tmp_path / "results.jsonl", Settings(data=str(corpus))
    ((row, _),) = evaluate([str(fake)], settings, None, str(output))
    older = {name: value for name, value in row.items() if name not in ("stage", "made", "sources")}
    output.write_text(json.dumps(older) + "\n")
    ((again, known),) = evaluate([str(fake)], settings, None, str(output))
    assert known and (again["stage"], again["bleu"]) == ("dense", row["bleu"])
    assert results.read(output) == [again]


def test_a_relative_path_is_kept_from_the_results(
    fake: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(data=str(corpus))
    ((row, _),) = evaluate(["fake.pt"], settings, None, "deep/results.jsonl")
    assert row["checkpoint"] == "../fake.pt"
    assert (Path("deep") / row["checkpoint"]).resolve() == fake
    ((row, _),) = evaluate(["fake.pt"], settings)
    assert row["checkpoint"] == "fake.pt"


def test_parameters_are_said_where_nothing_is_zero() -> None:
    row = {"sparsity": 0.25, "parameters": 500, "parameters_before": 1000, "made": ["shrunk"]}
    assert left(row) == "parameters 500 (50% of its source's 1,000), shrunk"
    assert left({"sparsity": 0.0, "parameters": 1234, "made": []}) == "parameters 1,234"
    assert left({"sparsity": 0.8, "parameters": 1234, "made": []}) == "sparsity 0.8000"
    assert left({"sparsity": 0.0}) == "sparsity 0.0000"  # a row of an earlier version


def test_the_line_says_of_which_subset_the_perplexity_is() -> None:
    row = {"bleu": 74.671, "chrf": 84.96, "brevity_penalty": 0.985, "length_ratio": 0.985}
    settings = Settings(data="data-bin", gen_subset="valid1")
    assert scores({**row, "valid1_ppl": 15.449, "valid_ppl": 2.0}, settings) == (
        "BLEU 74.67  chrF 84.96  valid1 ppl 15.45  BP 0.985  ratio 0.985  "
    )


def test_other_subsets_are_scored_beside_it_as_if_alone(
    rows: tuple[Path, dict[str, Any]], checkpoint: Path, corpus: Path, tmp_path: Path
) -> None:
    output, row = rows
    texts = [s.reference for s in read_sentences(output.parent / row["sentences_file"])]
    (tmp_path / "raw.txt").write_text("".join(f"{line}\n" for line in texts))
    both = Settings(
        data=str(corpus), cpu=True, valid_subset=None, gen_subset="valid",
        also=[f"test={tmp_path / 'raw.txt'}"],
    )  # fmt: skip
    ((found, _),) = evaluate([str(checkpoint)], both, None, str(tmp_path / "r.jsonl"))
    scores = {"bleu": row["bleu"], "chrf": row["chrf"], "sentences": row["sentences"]}
    assert found["also"] == {"test": scores}
    alone = Settings(data=str(corpus), cpu=True, valid_subset=None, gen_subset="valid")
    ((other, known),) = evaluate([str(checkpoint)], alone, None, str(tmp_path / "r.jsonl"))
    assert not known and other["bleu"] == found["bleu"] and "also" not in other
    # known again, wherever the reference lies
    (tmp_path / "raw.txt").rename(tmp_path / "moved.txt")
    moved = replace(both, also=[f"test={tmp_path / 'moved.txt'}"])
    ((_, known),) = evaluate([str(checkpoint)], moved, None, str(tmp_path / "r.jsonl"))
    assert known
    for wrong, sentence in ((["nope"], "has no subset 'nope'"), (["valid"], "--also names valid"),
                            (["test=nowhere"], "--also test=nowhere names no file")):  # fmt: skip
        with pytest.raises(ValueError, match=sentence):
            replace(both, also=wrong).check()


def test_a_row_says_what_is_left_of_weights_and_of_work(
    rows: tuple[Path, dict[str, Any]], checkpoint: Path
) -> None:
    counts = count(open_checkpoint(str(checkpoint)))
    row = rows[1]
    assert row["nonzero"] == counts.nonzero <= row["parameters"] == counts.parameters
    assert row["multiply_adds"] == [counts.dense.pair, counts.sparse.pair]
