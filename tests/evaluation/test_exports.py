"""Exports are evaluated beside checkpoints: the same translations, and rows of their own."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from fairseq_prune.cli.main import main
from fairseq_prune.evaluation.decode_folder import FolderDecoder
from fairseq_prune.evaluation.evaluate import evaluate
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.exports.ctranslate import convert
from fairseq_prune.report.points import read_points
from tests.conftest import ARCHES, TRAINING, train_here

LEARN = (
    *("--max-update", 150, "--lr", 0.005, "--weight-decay", 0, "--dropout", 0),
    *("--disable-validation", "--save-interval", 1000),
)
PRUNE = ("--prune-scheme", "class-uniform", "--prune-sparsity", "0.3")
LONGEST = 30


def call(*words: Any) -> None:
    assert main([str(word) for word in words]) == 0


@pytest.fixture(scope="module")
def folder(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Transformer, pruned by 30%, and its exports."""
    folder = tmp_path_factory.mktemp("exports")
    train_here([corpus, *ARCHES["transformer"], *TRAINING, "--save-dir", folder, *LEARN])
    dense, pruned = folder / "dense.pt", folder / "pruned.pt"
    (folder / "checkpoint_last.pt").rename(dense)
    call("apply", dense, "--output", pruned, *PRUNE)
    call("export", pruned, "--format", "checkpoint", "--output", folder / "stripped.pt")
    call("export", pruned, "--format", "compact", "--output", folder / "small.fsz")
    for model in (dense, pruned):
        for kind in ("float32", "int8"):
            # of the same name as the checkpoint beside it, without its ending
            convert(str(model), str(corpus), str(folder / f"{model.stem}-{kind}"), kind)
    shutil.copytree(folder / "pruned-float32", folder / "pruned")
    return folder


NAMES = ("dense.pt", "pruned.pt", "stripped.pt", "small.fsz", "pruned", "dense-float32",
         "dense-int8", "pruned-int8")  # fmt: skip


@pytest.fixture(scope="module")
def rows(folder: Path, corpus: Path) -> dict[str, Any]:
    """A row of each, by the name of its file, from one list."""
    settings = Settings(data=str(corpus), gen_subset="train", max_len_b=LONGEST, cpu=True)
    found = evaluate(
        [str(folder / n) for n in NAMES], settings, None, str(folder / "results.jsonl")
    )
    return {name: row for name, (row, _) in zip(NAMES, found, strict=True)}


def translations(folder: Path, row: Any) -> list[str]:
    return (folder / row["hypotheses"]).read_text(encoding="utf-8").splitlines()


def test_what_fairseq_opens_is_scored_as_the_checkpoint_is(
    folder: Path, rows: dict[str, Any]
) -> None:
    one = rows["pruned.pt"]
    for name in ("stripped.pt", "small.fsz"):
        for measure in ("bleu", "chrf", "train_nll", "valid_nll", "sparsity", "nonzero"):
            assert rows[name][measure] == one[measure], (name, measure)
        assert translations(folder, rows[name]) == translations(folder, one)
    assert len({row["hypotheses"] for row in rows.values()}) == len(rows)


@pytest.mark.parametrize(("checkpoint", "export"), [("dense.pt", "dense-float32"),
                                                    ("pruned.pt", "pruned")])  # fmt: skip
def test_ctranslate2_in_float32_translates_as_fairseq_does(
    folder: Path, rows: dict[str, Any], checkpoint: str, export: str
) -> None:
    expected, found = (translations(folder, rows[name]) for name in (checkpoint, export))
    assert len(set(expected)) > 80
    # one that is cut at the longest length ends in fairseq with a forced </s>
    whole = [n for n, line in enumerate(expected) if len(line.split()) < LONGEST]
    assert len(whole) >= 0.95 * len(expected)
    assert [found[n] for n in whole] == [expected[n] for n in whole]
    for subset in ("valid", "train"):
        exact = rows[checkpoint][f"{subset}_nll"]
        assert rows[export][f"{subset}_nll"] == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize(
    "how",
    [
        {"beam": 1},
        {"beam": 3, "lenpen": 0.0},
        {"lenpen": 0.6, "batch_size": 1},
        {"beam": 4, "lenpen": 2.0},
        {"max_len_a": 1.5, "max_len_b": 2, "max_tokens": 100},
    ],
    ids=str,
)
def test_every_setting_of_the_search_is_the_same_in_ctranslate2(
    folder: Path, corpus: Path, tmp_path: Path, how: dict[str, Any]
) -> None:
    settings = Settings(
        data=str(corpus), valid_subset=None, cpu=True, **{"max_len_b": LONGEST, **how}
    )
    given = [str(folder / name) for name in ("dense.pt", "dense-float32")]
    found = [row for row, _ in evaluate(given, settings, None, str(tmp_path / "results.jsonl"))]
    one, other = (translations(tmp_path, row) for row in found)
    longest = settings.max_len_b if "max_len_a" not in how else 2
    whole = [n for n, line in enumerate(one) if len(line.split()) < longest or "max_len_a" in how]
    assert len(whole) >= 0.9 * len(one)
    assert [other[n] for n in whole] == [one[n] for n in whole]


def test_a_row_says_its_engine_what_it_takes_and_where_it_comes_from(
    folder: Path, rows: dict[str, Any]
) -> None:
    told = ("form", "quantization", "exported_from", "stage", "made", "method")
    masked = rows["pruned.pt"]["method"]
    assert {name: [row.get(key) for key in told] for name, row in rows.items()} == {
        "dense.pt": ["checkpoint", None, None, "dense", [], None],
        "pruned.pt": ["checkpoint", None, None, "pruned", [], masked],
        "stripped.pt": ["checkpoint", "float32", "pruned.pt", "pruned", ["exported"], masked],
        "small.fsz": ["compact", "float32", "pruned.pt", "pruned", ["exported, compact"], masked],
        "pruned": ["ctranslate2", "float32", "pruned.pt", "pruned",
                   ["exported to CTranslate2, float32"], masked],
        "dense-float32": ["ctranslate2", "float32", "dense.pt", "derived",
                          ["exported to CTranslate2, float32"], None],
        "dense-int8": ["ctranslate2", "int8", "dense.pt", "derived",
                       ["exported to CTranslate2, int8"], None],
        "pruned-int8": ["ctranslate2", "int8", "pruned.pt", "pruned",
                        ["exported to CTranslate2, int8"], masked],
    }  # fmt: skip
    for name, row in rows.items():
        by_folder = row["form"] == "ctranslate2"
        assert row["engine"].startswith("CTranslate2 " if by_folder else "fairseq"), name
        files = list((folder / name).iterdir()) if by_folder else [folder / name]
        assert row["bytes"] == sum(path.stat().st_size for path in files)
        assert row["ms_per_sentence"] > 0
        assert row["memory_bytes"] > 1_000_000
    # a process without torch
    assert 2 * rows["pruned"]["memory_bytes"] < rows["pruned.pt"]["memory_bytes"]
    for measure in ("multiply_adds", "parameters", "nonzero", "sparsity", "removed", "prunable"):
        assert rows["pruned-int8"][measure] == rows["pruned.pt"][measure], measure


def test_a_report_shows_every_export_under_a_name_of_its_own(
    folder: Path, rows: dict[str, Any]
) -> None:
    notes: list[str] = []
    points = read_points([folder / "results.jsonl"], notes)
    assert len({point.place for point in points}) == len(NAMES)
    assert [p.row["bytes"] for p in points if p.kind.is_dense] == [rows["dense.pt"]["bytes"]]
    assert notes == []


def test_an_export_that_is_known_is_not_decoded_again(
    folder: Path, corpus: Path, rows: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fairseq_prune.evaluation.evaluate._measure", None)
    settings = Settings(data=str(corpus), gen_subset="train", max_len_b=LONGEST, cpu=True)
    given = [str(folder / name) for name in ("small.fsz", "dense-int8")]
    again = evaluate(given, settings, None, str(folder / "results.jsonl"))
    assert [known for _, known in again] == [True, True]


def test_a_compact_file_is_a_member_of_an_ensemble(
    folder: Path, corpus: Path, rows: dict[str, Any]
) -> None:
    settings = Settings(data=str(corpus), valid_subset=None, cpu=True)
    mixed, plain = (f"{folder}/dense.pt:{folder}/{n}" for n in ("small.fsz", "pruned.pt"))
    (one, _), (other, _) = evaluate([mixed, plain], settings)
    assert one["bleu"] == other["bleu"] and one["form"] == "compact"
    assert one["members"][1]["checkpoint"] == f"{folder}/small.fsz"


@pytest.fixture
def refused(
    corpus: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Any:
    """Calls evaluate, which has to refuse before any work; gives its sentence."""

    def run(*words: Any, data: Path = corpus) -> str:
        monkeypatch.setattr("fairseq_prune.evaluation.evaluate._measure", None)
        capsys.readouterr()
        code = main(["evaluate", *map(str, words), "--data", str(data), "--valid-subset", ""])
        out, err = capsys.readouterr()
        assert (code, out) == (2, ""), (code, out, err)
        return err.removeprefix("fairseq-prune: ").rstrip("\n")

    return run


def test_what_ctranslate2_cannot_do_is_refused(folder: Path, refused: Any) -> None:
    export, dense = folder / "dense-int8", folder / "dense.pt"
    assert refused(dense, export, "--model-overrides", "{'dropout': 0}") == (
        f"--model-overrides replaces settings of a checkpoint, and {export} is an "
        "exported folder, which has none: evaluate it without them."
    )
    assert refused(f"{dense}:{export}") == (
        f"{dense}:{export} is an ensemble, and an exported folder is decoded alone: give the "
        "folder alone."
    )


def test_folders_that_are_no_exports_of_ours(folder: Path, refused: Any, tmp_path: Path) -> None:
    assert refused(tmp_path) == (
        f"{tmp_path} is a folder without a model: it has none of model.bin, model.safetensors; "
        "give a checkpoint, a compact file, or a folder that `fairseq-prune export` wrote."
    )
    other = tmp_path / "other"
    shutil.copytree(folder / "dense-int8", other)
    config = json.loads((other / "config.json").read_text())
    made = config.pop("fairseq_prune")
    (other / "config.json").write_text(json.dumps(config))
    assert "that `fairseq-prune export` did not write" in refused(other)
    for name, value, why in (
        ("positions", [0, 5], "[0, 5] are no numbers of positions"),
        ("languages", "de", "'de' is no pair"),
        ("parameters", "many", "its parameters is no number"),
        ("steps", [{}], "What"),
    ):
        changed = {**config, "fairseq_prune": {**made, name: value}}
        (other / "config.json").write_text(json.dumps(changed))
        assert why in refused(other), name
    (other / "config.json").write_text("{")
    assert refused(other).startswith(f"{other}/config.json is damaged: ")


def test_data_with_other_tokens(folder: Path, corpus: Path, refused: Any, tmp_path: Path) -> None:
    data = tmp_path / "bin"
    shutil.copytree(corpus, data)
    lines = (data / "dict.en.txt").read_text().splitlines()
    (data / "dict.en.txt").write_text("\n".join([*lines[:-1], "other 1"]) + "\n")
    assert refused(folder / "dense.pt", folder / "dense-int8", data=data) == (
        f"the target dictionary of --data {data} (en) has other tokens than {folder}/dense-int8: "
        "give the folder that the model was trained on, or its languages."
    )


def test_a_damaged_model_is_a_sentence(folder: Path, corpus: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "dense-int8", tmp_path / "cut")
    weights = (tmp_path / "cut/model.bin").read_bytes()
    (tmp_path / "cut/model.bin").write_bytes(weights[: len(weights) // 2])
    decoder = FolderDecoder(Settings(data=str(corpus), cpu=True))
    with pytest.raises(ValueError, match=f"^{tmp_path}/cut: CTranslate2 says: "):
        decoder.open(str(tmp_path / "cut"))
    (tmp_path / "cut.fsz").write_bytes((folder / "small.fsz").read_bytes()[:2000])
    with pytest.raises(ValueError, match=f"^{tmp_path}/cut.fsz cannot be read: it is truncated"):
        list(evaluate([str(tmp_path / "cut.fsz")], Settings(data=str(corpus), cpu=True)))


def test_folders_of_earlier_versions_are_evaluated(
    folder: Path, corpus: Path, rows: dict[str, Any], tmp_path: Path
) -> None:
    old = tmp_path / "old"
    shutil.copytree(folder / "pruned-int8", old)
    config = json.loads((old / "config.json").read_text())
    made = config["fairseq_prune"]
    for name in ("languages", "positions", "quantization", "nonzero", "multiply_adds",
                 "flop_sparsity"):  # fmt: skip
        del made[name]
    del made["steps"][-1]["facts"]["quantization"]
    (old / "config.json").write_text(json.dumps(config))
    settings = Settings(data=str(corpus), gen_subset="train", max_len_b=LONGEST, cpu=True)
    ((row, _),) = evaluate([str(old)], settings)
    assert row["bleu"] == rows["pruned-int8"]["bleu"]
    assert row["made"] == ["exported to CTranslate2"] and row["compute_type"] == "int8_float32"
    del made["steps"]
    (old / "config.json").write_text(json.dumps(config))
    ((row, _),) = evaluate([str(old)], settings)
    assert (row["stage"], row["exported_from"]) == ("pruned", "pruned.pt")
    assert row["sparsity"] == pytest.approx(0.3, abs=1e-3)
