"""fairseq-prune bench on small models: all engines translate alike, sizes and work are right."""

import json
import shutil
from contextlib import contextmanager

import pytest
import torch

from fairseq_prune.bench import ENGINES
from fairseq_prune.bench.batches import Batch, Work
from fairseq_prune.bench.kinds import KINDS
from fairseq_prune.evaluation.settings import Settings

UNITS = ("--prune-scheme", "class-uniform", "--prune-sparsity", "0.5", "--prune-structure", "ffn")
QUICK = ("--sentences", 3, "--beams", 2, "--batches", 2, "--rounds", 1, "--max-len-b", 8)


def test_a_model_and_its_smaller_self(train, call, ask, corpus, tmp_path):
    train(tmp_path / "run", "--max-update", 5, arch="transformer")
    dense = tmp_path / "run" / "checkpoint_last.pt"
    pruned, small, out = (tmp_path / name for name in ("pruned.pt", "small.pt", "out"))
    call("apply", dense, "--output", pruned, *UNITS)
    call("shrink", pruned, "--output", small)
    code, text, err = call("bench", dense, small, "--data", corpus, *QUICK, "--output", out)
    assert code == 0, err
    assert "left out" not in text
    facts = json.loads((out / "bench.json").read_text())
    first, second = facts["models"].values()
    assert list(facts["models"]) == ["checkpoint_last.pt", "small.pt"]
    assert first["parameters"] - second["parameters"] == 4 * 16 * (16 + 16 + 1)
    # one layer a side: the source is read by the encoder, 16 neurons less in two matrices each
    work = [m["multiply_adds_per_source_token"][0] for m in (first, second)]
    assert work[0] - work[1] == 2 * 2 * 16 * 16
    assert first["bytes"]["stripped"] > second["bytes"]["stripped"]
    assert second["bytes"]["stripped, zstd"] < second["bytes"]["stripped"]
    engines = [speed["engine"] for speed in facts["speeds"]]
    assert len(engines) == 8 and engines[0] == "checkpoint_last.pt: fairseq"
    assert all(speed["tokens_per_second"] > 0 for speed in facts["speeds"])
    assert "| beam 2, batch 2 | ms a sentence | 95% | tokens/s |" in (out / "table.md").read_text()
    assert (out / "bench.png").stat().st_size > 10_000


def test_exports_stand_against_the_dense_model_in_the_same_engine_and_form(
    train, call, corpus, tmp_path
):
    train(tmp_path / "run", "--max-update", 5, arch="transformer")
    dense = tmp_path / "run" / "checkpoint_last.pt"
    pruned, small, packed = (tmp_path / name for name in ("pruned.pt", "small.pt", "small.fsz"))
    call("apply", dense, "--output", pruned, *UNITS)
    call("shrink", pruned, "--output", small)
    call("export", small, "--format", "compact", "--output", packed)
    folder, out = tmp_path / "small-int16", tmp_path / "out"
    words = ("--format", "ctranslate2", "--data", corpus, "--quantization", "int16")
    assert call("export", small, *words, "--output", folder)[0] == 0
    flags = ("--engines", "fairseq", "--against", dense, "--output", out)
    code, text, err = call("bench", packed, folder, "--data", corpus, *QUICK, *flags)
    assert code == 0, err
    facts = json.loads((out / "bench.json").read_text())
    label = "checkpoint_last.pt"
    assert facts["against"] == label and list(facts["models"])[-1] == label
    found = facts["engines"]
    # the dense model is exported as the folder is
    assert list(found) == [
        "small.fsz: fairseq", "small-int16: ctranslate2-int16", f"{label}: fairseq",
        f"{label}: ctranslate2-int16",
    ]  # fmt: skip
    one, other = found["small.fsz: fairseq"], found["small-int16: ctranslate2-int16"]
    assert (one["form"], one["bytes"]) == ("compact", packed.stat().st_size)
    assert one["bytes_ratio"] == one["bytes"] / facts["models"][label]["bytes"]["compact"] < 1
    assert other["bytes"] == sum(path.stat().st_size for path in folder.iterdir())
    assert other["bytes_ratio"] == other["bytes"] / found[other["against"]]["bytes"] < 1
    assert other["against"] == f"{label}: ctranslate2-int16"
    assert found[f"{label}: fairseq"]["memory_ratio"] == 1
    assert 1e6 < other["memory_bytes"] < one["memory_bytes"] / 2  # torch is not in it
    (speed,) = [s for s in facts["speeds"] if s["engine"] == "small-int16: ctranslate2-int16"]
    assert speed["against"] == other["against"] and len(speed["against_ratios"]) == 1
    assert f"of {label}'s: in the same engine and form; where it has none, -" in " ".join(
        text.split()
    )
    assert facts["base"] == f"{label}: fairseq"  # which speed and BLEU are also compared with
    assert [s["ratio"] for s in facts["speeds"] if s["engine"] == facts["base"]] == [1.0]
    assert {row["against"] for row in facts["quality"]} == {facts["base"]}


def test_what_an_engine_cannot_take_is_said(train, call, corpus, tmp_path):
    train(tmp_path / "run", "--max-update", 2)
    last = tmp_path / "run" / "checkpoint_last.pt"
    flags = ("--engines", "fairseq-csr", "ctranslate2")
    code, out, err = call("bench", last, "--data", corpus, *QUICK, *flags)
    assert code == 0, err
    (line,) = [line for line in out.splitlines() if line.startswith("left out: ")]
    assert line.startswith("left out: checkpoint_last.pt in ctranslate2: it is of ")
    assert "LSTM" in line or "lstm" in line


def test_settings_that_an_export_does_not_have_are_not_passed_over(pair, facts_of, corpus):
    flags = ("--data", corpus, *QUICK, "--no-bleu", "--engines", "fairseq", "ctranslate2")
    facts = facts_of(pair[0], *flags, "--cpu-time", "--model-overrides", "{'dropout': 0}")
    assert facts["asked"]["cpu_time"]
    assert [each["kind"] for each in facts["engines"].values()] == ["fairseq"]
    assert facts["left_out"] == [
        "checkpoint_last.pt in ctranslate2: --model-overrides replaces settings of a checkpoint, "
        "and its export has none."
    ]


def engines_of(paths, corpus, **settings):
    """Every engine that takes these checkpoints, by name; CTranslate2 as exported."""
    settings = Settings(data=str(corpus), valid_subset=None, cpu=True, **settings)
    for path in paths:
        for kind in (KINDS[name] for name in ENGINES):
            opened = checkpoint = str(path)
            if kind.export is not None:
                opened = f"{path.parent}/{kind.name}"
                try:
                    kind.export(str(path), settings, opened)
                except ValueError as error:
                    assert "lstm" in str(error) and not kind.fits(checkpoint)
                    continue
            yield f"{path}: {kind.name}", kind.open(opened, settings, 1)


@pytest.fixture
def pair(train, tmp_path):
    """A Transformer whose translations stop at once, and an LSTM whose translations run on."""
    for arch in ("transformer", "lstm"):
        train(tmp_path / arch, "--max-update", 5, arch=arch)
    stops, runs = (tmp_path / n / "checkpoint_last.pt" for n in ("transformer", "lstm"))
    content = torch.load(runs, weights_only=False)
    content["model"]["decoder.fc_out.bias"][2] -= 100.0  # of </s>
    torch.save(content, runs)
    return [stops, runs]


def test_all_take_as_many_steps_as_the_references_have_tokens(pair, corpus):
    """fairseq calls its decoder, and makes a token a sentence, once a step; so does CTranslate2,
    where no end is among the tokens."""
    engines = dict(engines_of(pair, corpus))
    assert len(engines) == 7
    for engine in engines.values():
        lengths = engine.lengths(6)
        for size in (1, 3):
            work = Work(Settings(data=""), 6, True, 3, size, 1)
            for batch in work.batches(lengths, engine.most):
                with calls_of(engine) as calls:
                    assert engine.translate(batch, 3) == batch.steps * len(batch.numbers)
                assert calls in ([], [1] * batch.steps)
            if size == 1:
                (first,) = (b for b in work.batches(lengths, engine.most) if b.numbers == [0])
                assert first.steps == lengths.target[0]
    own = {name: engine.translate(Batch([0, 1]), 3) for name, engine in engines.items()}
    assert {name: tokens for name, tokens in own.items() if tokens not in (4, 2 * 201)} == {}
    assert len(set(own.values())) == 2  # left alone, some stop at once and some run on


@contextmanager
def calls_of(engine):
    """How often the decoder of a model in fairseq is asked for the next token."""
    calls = []
    decoders = [model.decoder for model in getattr(engine, "models", ())]
    hooks = [d.register_forward_hook(lambda *_: calls.append(1)) for d in decoders]
    yield calls
    for hook in hooks:
        hook.remove()


def test_forcing_leaves_no_trace_in_what_is_translated_freely(pair, corpus):
    for name, engine in engines_of(pair, corpus, max_len_b=9):
        before = engine.texts(2).hypotheses, engine.translate(Batch([0, 1]), 2)
        engine.translate(Batch([0, 1], 4), 2)
        assert (engine.texts(2).hypotheses, engine.translate(Batch([0, 1]), 2)) == before, name


@pytest.fixture
def facts_of(call):
    """What bench --json says; how far it is goes to stderr."""

    def run(*words):
        code, out, err = call("bench", *words, "--json")
        assert code == 0, err
        return json.loads(out)

    return run


def test_models_that_run_on_or_stop_at_once_are_timed_alike_and_it_is_said(
    pair, call, facts_of, corpus
):
    flags = ("--data", corpus, "--sentences", 4, "--beams", 2, "--batches", 1, 2, "--rounds", 1)
    facts = facts_of(*pair, *flags, "--engines", "fairseq", "--max-len-b", 50, "--no-bleu")
    by_batch = {}
    for speed in facts["speeds"]:
        by_batch.setdefault(speed["batch"], set()).add(speed["tokens"])
    assert facts["length"] == "reference" and all(len(n) == 1 for n in by_batch.values())
    stops, runs = (row["ratio"] for row in facts["own_lengths"])
    assert stops < 0.8 and runs > 1.25 and facts["quality"] == []
    own = ("--length", "own", "--max-len-b", 50, "--no-bleu", "--engines", "fairseq")
    code, out, err = call("bench", *pair, *flags, *own)
    assert code == 0, err
    for name, how, ratio in (("transformer", "stop early", stops), ("lstm", "run on", runs)):
        assert (
            f"own translations of {name}/checkpoint_last.pt {how}: of the references' tokens "
            f"{ratio:.2f} times in fairseq at beam 2; its times above are of those; --length "
            "reference times all alike"
        ) in out
    assert "BLEU of" not in out


def test_a_folder_in_8_bits_stands_against_the_dense_lstm_exported_alike(
    pair, call, facts_of, corpus, tmp_path
):
    folder = tmp_path / "int8"
    words = ("--format", "torch-int8", "--data", corpus, "--output", folder)
    assert call("export", pair[1], *words)[0] == 0
    flags = ("--data", corpus, *QUICK, "--no-bleu", "--engines", "fairseq")
    facts = facts_of(folder, "--against", pair[1], *flags)
    dense = "checkpoint_last.pt"
    names = ["int8: torch-int8", f"{dense}: fairseq", f"{dense}: torch-int8"]
    assert list(facts["engines"]) == names
    said = facts["engines"]["int8: torch-int8"]
    assert (said["form"], said["against"]) == ("torch-int8", f"{dense}: torch-int8")
    # the same but for the checkpoint's path in a record
    assert said["bytes_ratio"] == pytest.approx(1, abs=0.05)
    assert said["memory_bytes"] > 1e6
    # left alone, each architecture is in the engines that are for it
    for path, kinds in (
        (pair[0], ["fairseq", "fairseq-csr", "ctranslate2", "ctranslate2-int8"]),
        (pair[1], ["fairseq", "fairseq-csr", "torch-int8"]),
    ):
        facts = facts_of(path, *flags[:-2])
        assert [each["kind"] for each in facts["engines"].values()] == kinds
        assert facts["left_out"] == []


def test_bleu_is_that_of_evaluate(pair, facts_of, ask, corpus):
    flags = ("--data", corpus, "--max-len-b", 9)
    facts = facts_of(pair[0], *flags, *QUICK[:-2], "--engines", "fairseq-csr", "ctranslate2")
    row = ask("evaluate", pair[0], *flags, "--beam", 2, "--valid-subset", "", "--cpu")
    found = {row["engine"]: row for row in facts["quality"]}
    assert len(found) == 3
    for name in ("bleu", "chrf", "length_ratio", "bleu_signature"):
        assert {each[name] for each in found.values()} == {row[name]}, name
    assert {each["p"] for each in found.values()} == {None}  # all say the same


@pytest.mark.slow
def test_sparse_layers_translate_the_same(train, corpus, tmp_path):
    flags = ("--prune-scheme", "class-blind", "--prune-sparsity", "0.8")
    settings = Settings(data=str(corpus), valid_subset=None, max_len_b=8, cpu=True)
    for arch in ("lstm", "transformer"):
        train(tmp_path / arch, "--max-update", 20, *flags, arch=arch)
        path = str(tmp_path / arch / "checkpoint_last.pt")
        engines = [KINDS[kind].open(path, settings, 1) for kind in ("fairseq", "fairseq-csr")]
        plain, by_sparse = ([e.translate(Batch([n]), 5) for n in range(10)] for e in engines)
        assert plain == by_sparse
        plain, by_sparse = (engine.texts(5).hypotheses for engine in engines)
        assert plain == by_sparse


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--rounds", 0), "--rounds 0 must be 1 or more."),
        (("--batches", 1, 0), "--batches 0 must be 1 or more."),
        (
            ("--batches", 1, 8, "--sentences", 4),
            "--batches 8 is more than --sentences 4, so that no batch would have so many: give "
            "more sentences or smaller batches.",
        ),
        (
            ("--cpu-time", "--threads", 2),
            "--cpu-time adds up the time of all threads, so it tells nothing of --threads 2: "
            "leave one of them out.",
        ),
        (("--max-len-a", -1), "--max-len-a -1.0 must be 0 or more."),
        (("--reference", "nowhere.en"), "--reference nowhere.en is not a file;"),
        (("--against", "nowhere.pt"), "nowhere.pt is not a file; give the path of a fairseq"),
        (("--data", "nowhere"), "--data nowhere holds no dict.*.txt; give the folder that"),
    ],
)
def test_bad_input_is_refused_before_any_work(dense, call, corpus, flags, sentence):
    data = () if "--data" in flags else ("--data", corpus)
    code, out, err = call("bench", dense, *data, *flags)
    assert (code, out) == (2, "")
    assert sentence in err
    code, _, err = call("bench", dense, dense, "--data", corpus)
    assert code == 2
    assert "a checkpoint is given twice; name each once." in err


def test_data_without_references_are_timed_by_own_translations(
    pair, call, facts_of, corpus, tmp_path
):
    bare = tmp_path / "bare"
    shutil.copytree(corpus, bare)
    for path in bare.glob("test.de-en.en.*"):
        path.unlink()
    flags = ("--data", bare, *QUICK, "--engines", "fairseq")
    facts = facts_of(pair[1], *flags)
    assert (facts["length"], facts["own_lengths"], facts["quality"]) == ("own", [], [])
    code, out, err = call("bench", pair[1], *flags, "--length", "reference")
    assert (code, out) == (2, "")
    assert f"--length reference: --data {bare} has no reference translations of test" in err


def test_every_engine_that_is_offered_is_known():
    assert set(ENGINES) <= set(KINDS)
    assert all(name == kind.name for name, kind in KINDS.items())
