"""Each checkpoint under its own task: the numbers of fairseq's own programs."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from fairseq_prune.cli.main import main
from fairseq_prune.evaluation import results
from fairseq_prune.evaluation.ensembles import provenance_of
from fairseq_prune.evaluation.evaluate import evaluate
from fairseq_prune.evaluation.settings import Settings
from tests.conftest import run
from tests.evaluation.conftest import Small, Trained
from tests.evaluation.stock import here

Row = Mapping[str, Any]
SHORT: dict[str, Any] = {"max_len_b": 12, "cpu": True}
SIMPLE = (
    "--task translation_multi_simple_epoch --lang-pairs de-en --langs de,en --encoder-langtok src "
    "--decoder-langtok -s de -t en"
).split()


def some_slow(names: Iterable[str], *slow: str) -> list[Any]:
    """Parameters of a test, some of them for the slow tests."""
    marks = {name: pytest.mark.slow if name in slow else () for name in names}
    return [pytest.param(name, marks=mark) for name, mark in marks.items()]


def row_of(model: Small, output: Path | None = None, **settings: Any) -> Row:
    """The row that evaluate makes of a model."""
    asked = Settings(**{"data": model.data, **SHORT, **settings})
    ((row, _),) = evaluate([model.checkpoint], asked, None, output and str(output))
    return row


def validated(model: Small, task: str, *flags: str, apart: bool = False) -> str:
    """The perplexity that fairseq-validate logs of the validation set.

    Args:
        apart: in a process of its own, where fairseq's tasks know nothing of ours.
    """
    words = [
        model.data, "--task", task, "--path", model.checkpoint, "--cpu", "--max-tokens", 12000,
        "--valid-subset", "valid", "--no-progress-bar", *flags,
    ]  # fmt: skip
    out = run("fairseq-validate", *words) if apart else here("validate", *words)
    return re.findall(r"\| ppl ([\d.]+)", out)[-1]


def printed(ppl: float) -> str:
    """A perplexity as fairseq logs it."""
    return str(round(ppl, 2))


def generated(model: Small, *flags: str, apart: bool = False) -> tuple[list[str], float]:
    """The translations of the test set by fairseq-generate, and their BLEU."""
    words = [
        model.data, "--path", model.checkpoint, "--beam", 5, "--max-len-b", 12, "--cpu",
        "--scoring", "sacrebleu", *flags,
    ]  # fmt: skip
    out = run("fairseq-generate", *words) if apart else here("generate", *words)
    found = re.findall(r"^D-(\d+)\t\S+\t(.*)$", out, re.MULTILINE)
    bleu = re.search(r"BLEU = ([\d.]+)", out)
    assert bleu is not None
    return [text for _, text in sorted(found, key=lambda pair: int(pair[0]))], float(bleu[1])


def hypotheses(row: Row, output: Path) -> list[str]:
    return (output.parent / row["hypotheses"]).read_text().splitlines()


SCORED = {
    "simple": "translation_multi_simple_epoch",
    "two pairs": "translation_multi_simple_epoch",
    "multilingual": "multilingual_translation",
    "lm": "language_modeling",
    "masked lm": "masked_lm",
    "multilingual masked lm": "multilingual_masked_lm",
    "denoising": "denoising",
    "nat": "translation_lev",
}


@pytest.mark.parametrize(
    "kind",
    some_slow(SCORED, "two pairs", "masked lm", "multilingual masked lm", "denoising", "nat", "lm"),
)
def test_perplexity_is_what_fairseq_validate_logs(kind: str, trained: Trained) -> None:
    model = trained(kind)
    row = row_of(model)
    assert row["task"] == SCORED[kind]
    assert printed(row["valid_ppl"]) == validated(model, SCORED[kind], apart=kind == "simple")
    assert (row["bleu"] is None) == (kind not in ("simple", "nat"))


@pytest.mark.slow
def test_noise_that_a_task_draws_is_the_same_for_every_model(trained: Trained) -> None:
    model = trained("cmlm")
    first, second = (row_of(model)["valid_nll"] for _ in range(2))
    assert first == second
    # fairseq-validate seeds none: with all words masked there is none
    masked = "{'noise': 'full_mask'}"
    row = row_of(model, model_overrides=masked)
    assert row["valid_nll"] != first
    assert printed(row["valid_ppl"]) == validated(
        model, "translation_lev", "--model-overrides", masked
    )


@pytest.mark.slow  # that of fairseq-validate, above, is compared in the fast ones
def test_the_perplexity_of_a_language_model_is_that_of_fairseq_eval_lm(trained: Trained) -> None:
    model = trained("lm")
    out = here(
        "eval_lm", model.data, "--path", model.checkpoint, "--cpu", "--gen-subset", "test",
        "--sample-break-mode", "eos", "--tokens-per-sample", 20,
    )  # fmt: skip
    logged = re.search(r"Perplexity: ([\d.]+)", out)
    assert logged is not None
    row = row_of(model)
    assert f"{row['test_ppl']:.2f}" == logged[1]
    assert row["no_bleu"] == "task language_modeling, which has perplexity only"


@pytest.mark.slow
def test_perplexity_of_one_pair_is_of_its_own_data(trained: Trained) -> None:
    model = trained("multilingual")
    whole, *parts = (
        row_of(model, **languages)["valid_nll"]
        for languages in (
            {},
            {"source_lang": "de", "target_lang": "en"},
            {"source_lang": "en", "target_lang": "de"},
        )
    )
    assert parts[0] != parts[1]
    assert whole == pytest.approx(sum(parts) / 2)  # both have as many tokens


GENERATED = {
    "simple": ("simple", {}, SIMPLE),
    "one of two pairs": (
        "two pairs",
        {"source_lang": "en", "target_lang": "de"},
        [*SIMPLE[:3], "en-de,de-en", *SIMPLE[4:9], "-s", "en", "-t", "de"],
    ),
    "multilingual": (
        "multilingual",
        {"source_lang": "en", "target_lang": "de"},
        "--task multilingual_translation --lang-pairs de-en,en-de -s en -t de".split(),
    ),
    "nat": (
        "nat",
        {"iter_decode_max_iter": 2, "iter_decode_force_max_iter": True},
        "--task translation_lev --iter-decode-max-iter 2 --iter-decode-force-max-iter".split(),
    ),
}


@pytest.mark.parametrize("case", some_slow(GENERATED, "one of two pairs", "multilingual"))
def test_translations_and_bleu_are_those_of_fairseq_generate(
    case: str, trained: Trained, folders: dict[str, Path], tmp_path: Path
) -> None:
    kind, settings, flags = GENERATED[case]
    model, output = trained(kind), tmp_path / "results.jsonl"
    row = row_of(model, output, **settings)
    texts, bleu = generated(model, *flags, apart=case == "simple")
    assert hypotheses(row, output) == texts and len(set(texts)) > 1
    assert round(row["bleu"], 2) == bleu
    (sentences,) = (tmp_path / "sentences").iterdir()
    first = json.loads(sentences.read_text().splitlines()[0])
    side = settings.get("source_lang", "de")
    text = (folders["raw"] / f"test.de-en.{side}").read_text().splitlines()[0]
    assert first["source"] == text and first["source_tokens"] == len(text.split())
    assert first["rarest"] > 1  # neither a language token nor the sentence's end


def test_an_ensemble_translates_together_and_its_row_says_so(
    trained: Trained, tmp_path: Path
) -> None:
    members = [trained("plain"), trained("shorter")]
    both = Small(":".join(m.checkpoint for m in members), members[0].data)
    output = tmp_path / "results.jsonl"
    files = [model.checkpoint for model in (both, *members)]
    found = evaluate(files, Settings(data=both.data, **SHORT), None, str(output))
    row, *one = (each for each, _ in found)
    texts, bleu = generated(both)
    assert (hypotheses(row, output), round(row["bleu"], 2)) == (texts, bleu)
    assert row["stage"] == "ensemble" and row["made"] == ["ensemble of 2"]
    assert [m["sha256"] for m in row["members"]] == [r["sha256"] for r in one] == row["sources"]
    assert row["sha256"] not in row["sources"]
    assert (row["valid_ppl"], row["scheme"], row["masks_digest"]) == (None, None, None)
    assert row["parameters"] == sum(r["parameters"] for r in one)
    assert results.read(output) == [row, *one]


def test_the_sparsity_of_an_ensemble_is_of_all_its_weights(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dense, out = trained("plain"), str(tmp_path / "pruned.pt")
    flags = "--prune-scheme class-blind --prune-sparsity 0.5 --json"
    assert main(["apply", dense.checkpoint, "--output", out, *flags.split()]) == 0
    made = provenance_of([dense.checkpoint, out], None)
    alone = provenance_of([out], None)
    assert made["removed"] == alone["removed"] > 0
    assert made["prunable"] == 2 * alone["prunable"]
    assert made["sparsity"] == alone["sparsity"] / 2
    assert [member["stage"] for member in made["members"]] == ["dense", "pruned"]
    assert (made["method"], made["scheme"], made["classes"]) == (None, None, [])


def test_text_as_data_gives_what_binarised_data_give(
    trained: Trained, folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, output = trained("plain"), tmp_path / "results.jsonl"
    raw = Small(model.checkpoint, str(folders["raw"]))
    row = row_of(raw, output, dataset_impl="raw")
    expected = row_of(model)
    assert [row[n] for n in ("bleu", "chrf", "valid_nll", "test_nll")] == [
        expected[n] for n in ("bleu", "chrf", "valid_nll", "test_nll")
    ]
    assert main(["evaluate", model.checkpoint, "--data", raw.data, "--cpu"]) == 2
    assert capsys.readouterr().err == (
        f"fairseq-prune: --data {raw.data} has test as text and not binarised; give "
        "--dataset-impl raw.\n"
    )


def test_data_in_several_folders_are_those_of_the_first(
    trained: Trained, folders: dict[str, Path], tmp_path: Path
) -> None:
    model, more = trained("plain"), tmp_path / "more"
    more.mkdir()
    one = Settings(data=model.data)
    two = Settings(data=f"{model.data}:{more}")
    assert two.check().data_digest() == one.check().data_digest()
    assert row_of(model, data=two.data)["test_nll"] == row_of(model)["test_nll"]


def test_a_row_without_bleu_is_known_again(trained: Trained, tmp_path: Path) -> None:
    model, output = trained("lm"), tmp_path / "results.jsonl"
    row = row_of(model, output)
    settings = Settings(data=model.data, **SHORT)
    assert list(evaluate([model.checkpoint], settings, None, str(output))) == [(row, True)]


Call = Callable[..., str]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls ``fairseq-prune``, which has to fail; gives its one line."""

    def call(command: str, model: Small, *flags: str, data: Any = None) -> str:
        words = [command, model.checkpoint, "--data", str(data or model.data), *flags]
        assert main(words) == 2
        line = capsys.readouterr().err
        assert line.count("\n") == 1
        return line.replace(model.checkpoint, "MODEL")

    return call


def test_the_dictionary_that_does_not_fit_is_named(
    trained: Trained, folders: dict[str, Path], said: Call
) -> None:
    line = said("evaluate", trained("plain"), *"-s de -t en".split(), data=folders["tagged"])
    assert line == (
        "fairseq-prune: fairseq cannot load MODEL: its encoder.embed_tokens.weight is for 32 "
        "tokens, and the source dictionary of the data, with special tokens and those that the "
        "task adds, has 34: give the folder that the model was trained on, or its languages.\n"
    )
    line = said("evaluate", trained("simple"), "--cpu", data=folders["mono"])
    assert line == (
        f"fairseq-prune: fairseq cannot use --data {folders['mono']}: the checkpoint's task "
        f"translation_multi_simple_epoch reads {folders['mono']}/dict.de.txt, which is not there.\n"
    )


REFUSED = [
    ("evaluate", "lm", ["--text", "raw"], "of task language_modeling, which has no translations"),
    ("bench", "lm", [], "of task language_modeling, which has no translations; bench is of"),
    ("sensitivity", "lm", ["--bleu"], "which has no translations; --bleu is of translations."),
    ("bench", "two pairs", [], "of several language pairs (de-en, en-de); name one with -s and -t"),
    ("sensitivity", "two pairs", ["--bleu"], "name the one that --bleu is of with -s and -t."),
    ("evaluate", "two pairs", ["-s", "de"], "--source-lang and --target-lang go together"),
    ("evaluate", "multilingual", ["-s", "de", "-t", "fr"], "MODEL has no model for de-fr; it has"),
    ("evaluate", "plain", ["-s", "en"], "is of de, as its files' names say, where --source-lang"),
    ("evaluate", "plain", ["--model-overrides", "exit()"], "is no dictionary of settings and"),
    ("evaluate", "plain", ["--model-overrides", "{'x': 1}"], "names x, which is no setting of"),
    ("evaluate", "plain", ["--user-dir", "nowhere"], "--user-dir nowhere cannot be imported: "),
]


@pytest.mark.parametrize("command, kind, flags, sentence", REFUSED)
def test_what_a_command_does_not_take_is_said_before_any_work(
    command: str, kind: str, flags: list[str], sentence: str, trained: Trained, said: Call
) -> None:
    assert sentence in said(command, trained(kind), *flags)


def test_data_of_several_pairs_are_refused_where_nothing_says_which(
    trained: Trained, folders: dict[str, Path], said: Call
) -> None:
    model, data = trained("plain"), folders["both ways"]
    assert said("evaluate", model, "--cpu", data=data) == (
        f"fairseq-prune: --data {data} has test in several language pairs (de-en, en-de), and "
        "MODEL does not say which is its own: name one with -s and -t.\n"
    )
    named = row_of(model, data=str(data), source_lang="de", target_lang="en")
    assert named["valid_nll"] == row_of(model)["valid_nll"]


@pytest.mark.parametrize(
    "kind", some_slow(("simple", "two pairs", "multilingual", "lm", "cmlm"), "two pairs", "cmlm")
)
def test_sensitivity_begins_with_the_perplexity_of_evaluate(
    kind: str, trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    model = trained(kind)
    flags = ["--each", "0,0.5", "--prune-classes", "component", "--cpu", "--json"]
    capsys.readouterr()
    assert main(["sensitivity", model.checkpoint, "--data", model.data, *flags]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["dense"]["nll"] == row_of(model)["valid_nll"]
    for row in found["rows"]:
        assert (row["nll"] == found["dense"]["nll"]) == (row["removed"] == 0)


@pytest.mark.slow
def test_sensitivity_translates_one_pair_with_every_class_of_the_model(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    model = trained("multilingual")
    flags = "--each 0.9 --prune-classes tensor --cpu --json --bleu -s en -t de --subset test"
    flags += " --max-len-b 12"
    capsys.readouterr()
    assert main(["sensitivity", model.checkpoint, "--data", model.data, *flags.split()]) == 0
    found = json.loads(capsys.readouterr().out)
    pair = {"source_lang": "en", "target_lang": "de"}
    expected = row_of(model, **pair)
    assert (found["dense"]["nll"], found["dense"]["bleu"]) == (
        expected["test_nll"], expected["bleu"],
    )  # fmt: skip
    changed = {row["class"]: row["nll"] != found["dense"]["nll"] for row in found["rows"]}
    assert all(changes == name.startswith("models.en-de.") for name, changes in changed.items())


@pytest.mark.parametrize("kind", some_slow(("simple", "multilingual", "nat"), "multilingual"))
def test_bench_translates_under_the_own_task(
    kind: str, trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    model = trained(kind)
    flags = "--engines fairseq ctranslate2 --rounds 1 --beams 1 --batches 8 --sentences 8 --json"
    pair = ["-s", "en", "-t", "de"] if kind == "multilingual" else []
    capsys.readouterr()
    command = ["bench", model.checkpoint, "--data", model.data, "--max-len-b", "12"]
    assert main([*command, *flags.split(), *pair]) == 0
    found = json.loads(capsys.readouterr().out)
    (speed,) = found["speeds"]
    assert speed["tokens_per_second"] > 0
    assert ("no beam" in speed["engine"]) == (kind == "nat")
    (left_out,) = found["left_out"]
    assert "decodes in a way of its own" in left_out
