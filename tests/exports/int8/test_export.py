"""LSTMs exported in 8 bits: what is written, what it translates, and bad input."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fairseq_prune import models
from fairseq_prune.checkpoints.storage import CheckpointError
from fairseq_prune.cli.main import main
from fairseq_prune.evaluation.evaluate import evaluate
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.exports.forms import read_folder
from tests.conftest import ARCHES, TRAINING, train_here
from tests.exports.int8 import lstms
from tests.exports.models import write_dictionaries

INT8 = ("--format", "torch-int8")
WIDE = (*(f"--{side}-{size}=32" for side in ("encoder", "decoder")
         for size in ("embed-dim", "hidden-size")), "--decoder-out-embed-dim=32")  # fmt: skip
LEARN = (*WIDE, "--max-update", 300, "--lr", 0.01, "--weight-decay", 0, "--dropout", 0,
         "--disable-validation", "--save-interval", 1000)  # fmt: skip


def call(*words: Any) -> int:
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def folder(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small LSTM, dense and pruned, and their exports in 8 bits."""
    folder = tmp_path_factory.mktemp("int8")
    train_here([corpus, *ARCHES["lstm"], *TRAINING, "--save-dir", folder, *LEARN])
    (folder / "checkpoint_last.pt").rename(folder / "dense.pt")
    prune = ("--prune-scheme", "class-blind", "--prune-sparsity", "0.3")
    assert call("apply", folder / "dense.pt", "--output", folder / "pruned.pt", *prune) == 0
    for name in ("dense", "pruned"):
        output = ("--output", folder / name)
        assert call("export", folder / f"{name}.pt", *INT8, "--data", corpus, *output) == 0
    return folder


@pytest.fixture(scope="module")
def rows(folder: Path, corpus: Path) -> dict[str, Any]:
    settings = Settings(data=str(corpus), gen_subset="train", max_len_b=30, cpu=True)
    names = ("dense.pt", "dense", "pruned.pt", "pruned")
    found = evaluate([str(folder / n) for n in names], settings, None, str(folder / "r.jsonl"))
    return {name: row for name, (row, _) in zip(names, found, strict=True)}


def test_a_shortlist_of_all_words_changes_nothing_and_a_short_one_no_perplexity(
    folder: Path, corpus: Path, tmp_path: Path
) -> None:
    names = {"all": 1000, "short": 1}
    for name, candidates in names.items():
        output = ("--output", tmp_path / name, "--shortlist", candidates)
        assert call("export", folder / "dense.pt", *INT8, "--data", corpus, *output) == 0
    settings = Settings(data=str(corpus), gen_subset="train", max_len_b=30, cpu=True)
    paths = [str(folder / "dense"), *(str(tmp_path / name) for name in names)]
    results = str(tmp_path / "results.jsonl")
    plain, whole, short = (row for row, _ in evaluate(paths, settings, None, results))
    texts = [(tmp_path / row["hypotheses"]).read_text() for row in (plain, whole, short)]
    assert texts[0] == texts[1]
    assert plain["valid_nll"] == whole["valid_nll"] == short["valid_nll"]
    said = read_folder(paths[2]).made["shortlist"]
    assert (said["candidates"], said["pairs"]) == (1, 120)
    lists = tmp_path / "short" / "shortlist.safetensors"
    lists.write_bytes(lists.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="shortlist.safetensors is not the file that was exp"):
        read_folder(paths[2])


def test_it_translates_nearly_as_the_checkpoint(folder: Path, rows: dict[str, Any]) -> None:
    for name in ("dense", "pruned"):
        one, other = rows[f"{name}.pt"], rows[name]
        texts = [(folder / row["hypotheses"]).read_text().splitlines() for row in (one, other)]
        same = sum(a == b for a, b in zip(*texts, strict=True))
        assert len(set(texts[0])) > 30 and same > 0.9 * len(texts[0])
        for subset in ("valid", "train"):
            assert other[f"{subset}_nll"] == pytest.approx(one[f"{subset}_nll"], rel=0.02)
        assert other["sparsity"] == one["sparsity"] and other["parameters"] == one["parameters"]


def test_a_row_says_its_engine_and_where_it_comes_from(folder: Path, rows: dict[str, Any]) -> None:
    row = rows["pruned"]
    told = ("form", "quantization", "exported_from", "stage", "made", "engine", "device")
    assert [row[name] for name in told] == [
        "torch-int8", "int8", "pruned.pt", "pruned", ["exported to torch, int8"],
        "fairseq, torch int8", "cpu",
    ]  # fmt: skip
    assert row["bytes"] == sum(path.stat().st_size for path in (folder / "pruned").iterdir())
    assert row["memory_bytes"] > 1_000_000 and row["ms_per_sentence"] > 0


def test_the_folder_is_all_that_translating_needs(folder: Path, corpus: Path) -> None:
    path = folder / "dense"
    names = {"config.json", "dict.de.txt", "dict.en.txt", "model.safetensors"}
    assert {file.name for file in path.iterdir()} == names
    assert (path / "dict.de.txt").read_bytes() == (corpus / "dict.de.txt").read_bytes()
    said = json.loads((path / "config.json").read_text())["fairseq_prune"]
    assert said["languages"] == ["de", "en"] and said["torch"] == torch.__version__
    assert said["checkpoint"] == "dense.pt" and set(said["files"]) == names - {"config.json"}
    assert all(file.stat().st_mode & 0o044 == 0o044 for file in path.iterdir())


@pytest.mark.parametrize("kind", lstms.KINDS)
def test_every_kind_is_a_quarter_of_its_size(kind: str, tmp_path: Path) -> None:
    models.register()
    wide = {"encoder_embed_dim": 128, "decoder_embed_dim": 128, "decoder_out_embed_dim": 128,
            "encoder_hidden_size": 128, "decoder_hidden_size": 128}  # fmt: skip
    wide = {} if kind.startswith("shrunk") else wide
    model, settings = lstms.build(kind, **wide)
    torch.save(lstms.content_of(model, settings), tmp_path / "model.pt")
    data = write_dictionaries(tmp_path / "data", lstms.WORDS)
    command = ("export", tmp_path / "model.pt", *INT8, "--data", data)
    assert call(*command, "--output", tmp_path / "out") == 0
    weights = (tmp_path / "out" / "model.safetensors").stat().st_size
    exact = 4 * sum({id(p): p.numel() for p in model.parameters()}.values())
    assert not wide or weights < 0.27 * exact + 4000  # names and shapes in the file


Refused = Callable[..., str]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Calls the command, which has to refuse with one sentence, and gives that."""

    def run(*words: Any) -> str:
        capsys.readouterr()
        code = call(*words)
        out, err = capsys.readouterr()
        assert (code, out, err.count("\n")) == (2, "", 1), (code, out, err)
        return err.removeprefix("fairseq-prune: ").rstrip("\n")

    return run


def test_bad_input_writes_nothing(
    folder: Path, corpus: Path, tmp_path: Path, refused: Refused
) -> None:
    out = tmp_path / "out"
    command = ("export", folder / "dense.pt", *INT8, "--output", out)
    assert "give --data DATA" in refused(*command)
    assert refused(*command, "--data", corpus, "--half") == (
        "--half is for files, and --format torch-int8 writes a folder."
    )
    assert refused(*command, "--data", corpus, "--quantization", "int8") == (
        "--quantization int8 has no effect with --format torch-int8; it is for ctranslate2."
    )
    other = write_dictionaries(tmp_path / "other")
    (other / "valid.de-en.de.idx").touch()
    assert "give the folder that this model was trained on" in refused(*command, "--data", other)
    assert not out.exists()
    again = ("export", folder / "dense.pt", *INT8, "--data", corpus, "--output")
    assert refused(*again, folder / "dense") == (
        f"--output {folder / 'dense'} exists; give --force to replace it."
    )
    assert "holds something else" in refused(*again, corpus, "--force")


def test_a_torch_without_the_kernels(
    folder: Path, corpus: Path, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> Any:
        raise ValueError("torch 0.1 has no 8-bit linear layers for this processor.")

    monkeypatch.setattr("fairseq_prune.exports.int8.export.kernels", none)
    out = tmp_path / "out"
    said = refused("export", folder / "dense.pt", *INT8, "--data", corpus, "--output", out)
    assert said == "torch 0.1 has no 8-bit linear layers for this processor." and not out.exists()


def _config(path: Path, **changes: Any) -> None:
    content = json.loads((path / "config.json").read_text())
    content["fairseq_prune"] |= changes
    (path / "config.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("no dictionary", "lacks its dict.de.txt: export it again."),
        ("another dictionary", "dict.en.txt is not the file that was exported"),
        ("a later format", "has format 2, and this version of fairseq_prune reads format 1"),
        ("another network", "config.json is damaged: its decoder is"),
        ("a file elsewhere", "config.json is damaged: a file that it lists is not in it."),
        ("no config", "config.json cannot be read"),
        ("no json", "config.json is damaged"),
    ],
)
def test_a_damaged_folder_is_refused_when_it_is_looked_at(
    change: str, says: str, folder: Path, corpus: Path, tmp_path: Path, refused: Refused
) -> None:
    path = tmp_path / "copy"
    shutil.copytree(folder / "dense", path)
    made = json.loads((path / "config.json").read_text())["fairseq_prune"]
    if change == "no dictionary":
        (path / "dict.de.txt").unlink()
    elif change == "another dictionary":
        (path / "dict.en.txt").write_text("a 1\n")
    elif change == "a later format":
        _config(path, format=2)
    elif change == "another network":
        _config(path, network={**made["network"], "decoder": [0]})
    elif change == "a file elsewhere":
        _config(path, files={**made["files"], "../x": "0"})
    elif change == "no config":
        (path / "config.json").unlink()
    else:
        (path / "config.json").write_text("{")
    assert says in refused("evaluate", path, "--data", corpus)


def test_weights_that_were_changed_or_do_not_fit(folder: Path, tmp_path: Path) -> None:
    from fairseq.data import Dictionary

    from fairseq_prune.exports.int8.network import network_in

    path = tmp_path / "copy"
    shutil.copytree(folder / "dense", path)
    words = Dictionary.load(str(path / "dict.de.txt"))
    found: Any = read_folder(str(path))
    network_in(found, (words, words))
    data = bytearray((path / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (path / "model.safetensors").write_bytes(data)
    with pytest.raises(CheckpointError, match="is not the file that was exported"):
        network_in(found, (words, words))
    shutil.copyfile(folder / "dense" / "model.safetensors", path / "model.safetensors")
    network = json.loads((path / "config.json").read_text())["fairseq_prune"]["network"]
    _config(path, network={**network, "decoder": [32, 8]})
    with pytest.raises(CheckpointError, match="model.safetensors is damaged: its decoder.layers.1"):
        network_in(read_folder(str(path)), (words, words))  # type: ignore[arg-type]


def test_data_of_other_languages(folder: Path, tmp_path: Path, refused: Refused) -> None:
    data = write_dictionaries(tmp_path / "data")
    (data / "test.de-en.de.idx").touch()
    said = refused("evaluate", folder / "dense", "--data", data, "--valid-subset", "")
    assert (
        "has other tokens than" in said and "give the folder that the model was trained on" in said
    )
