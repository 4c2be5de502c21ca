"""fairseq-prune bench on small models: all engines translate alike, sizes and work are right."""

import json

import pytest

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
    assert "| beam | batch | model: engine |" in (out / "table.md").read_text()
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
    assert f"against {label} in the same engine" in text
    assert f"of {label}'s: in the same engine and form; where it has none, -" in text


def test_what_an_engine_cannot_take_is_said(train, call, corpus, tmp_path):
    train(tmp_path / "run", "--max-update", 2)
    last = tmp_path / "run" / "checkpoint_last.pt"
    flags = ("--engines", "fairseq-csr", "ctranslate2")
    code, out, err = call("bench", last, "--data", corpus, *QUICK, *flags)
    assert code == 0, err
    (line,) = [line for line in out.splitlines() if line.startswith("left out: ")]
    assert line.startswith("left out: checkpoint_last.pt in ctranslate2: ")
    assert "LSTM" in line or "lstm" in line


@pytest.mark.slow
def test_sparse_layers_translate_the_same(train, corpus, tmp_path):
    from fairseq_prune.bench.engines import Fairseq
    from fairseq_prune.evaluation.settings import Settings

    flags = ("--prune-scheme", "class-blind", "--prune-sparsity", "0.8")
    settings = Settings(data=str(corpus), valid_subset=None, max_len_b=8, cpu=True)
    for arch in ("lstm", "transformer"):
        train(tmp_path / arch, "--max-update", 20, *flags, arch=arch)
        path = str(tmp_path / arch / "checkpoint_last.pt")
        engines = [Fairseq(path, settings, sparse) for sparse in (False, True)]
        plain, by_sparse = ([e.translate([[n]], 5) for n in range(10)] for e in engines)
        assert plain == by_sparse


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--rounds", 0), "--rounds 0 must be 1 or more."),
        (("--batches", 1, 0), "--batches 0 must be 1 or more."),
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
