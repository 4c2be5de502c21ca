"""Ranges of outputs: which matrices have one, what it is measured on, and what it is good for."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from fairseq_prune.checkpoints.storage import CheckpointError
from fairseq_prune.cli.main import main
from fairseq_prune.exports.forms import read_folder
from fairseq_prune.exports.int8.calibration import sparse_matrices, training_pairs
from fairseq_prune.exports.int8.network import Int8LSTM, network_in
from fairseq_prune.exports.int8.sparse_linear import BlockSparseLinear, can_leave_out_zeros
from tests.conftest import ARCHES, TRAINING, train_here

SPARSE = ["decoder.attention.output", "decoder.layers.0", "decoder.layers.1", "decoder.softmax"]


@pytest.fixture(scope="module")
def checkpoint(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An LSTM without 80% of the 1 x 4 blocks of each matrix, but of attention's first one."""
    folder = tmp_path_factory.mktemp("lstm")
    flags = [*ARCHES["lstm"], *TRAINING, "--max-update", 2, "--save-dir", folder / "dense"]
    train_here([corpus, *flags])
    recipe = "--prune-scheme class-uniform --prune-structure block:1x4 --prune-sparsity 0.8"
    excluded = ["--prune-exclude", "input_proj"]
    dense, pruned = folder / "dense/checkpoint_last.pt", folder / "pruned.pt"
    assert main(["apply", str(dense), "--output", str(pruned), *recipe.split(), *excluded]) == 0
    return pruned


@pytest.fixture(scope="module")
def folder(checkpoint: Path, corpus: Path) -> str:
    return export(checkpoint, corpus, checkpoint.with_name("int8"))


def export(checkpoint: Path, data: Path, output: Path) -> str:
    words = ["export", checkpoint, "--format", "torch-int8", "--data", data, "--output", output]
    assert main(list(map(str, words))) == 0
    return str(output)


def network(folder: str) -> Int8LSTM:
    from fairseq.data import Dictionary

    words = [Dictionary.load(f"{folder}/dict.{language}.txt") for language in ("de", "en")]
    return network_in(read_folder(folder), (words[0], words[1]))  # type: ignore[arg-type]


def ranges_in(folder: str) -> dict[str, Any]:
    config = json.loads(Path(folder, "config.json").read_text())
    return config["fairseq_prune"]["network"]["ranges"]


def test_matrices_of_the_decoder_with_many_zeros_have_a_range(folder: str) -> None:
    assert sorted(ranges_in(folder)) == SPARSE
    tensors = read_folder(folder).tensors()  # type: ignore[union-attr]
    assert sorted(sparse_matrices(tensors)) == SPARSE


def test_what_a_sigmoid_or_tanh_reads_is_bounded(folder: str) -> None:
    for name, (low, high) in ranges_in(folder).items():
        most = {"softmax": 100.0, "output": 3.5}.get(name.split(".")[-1], 7.0)
        assert -most <= low < 0 < high <= most


def test_an_export_says_what_becomes_of_zeros(
    checkpoint: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export(checkpoint, corpus, tmp_path / "a")
    assert capsys.readouterr().out.splitlines()[-1] == (
        "4 matrices of the decoder lack 75% or more of their 1 x 4 blocks, and decoding leaves "
        "these out; the ranges of outputs were measured on 120 training sentences"
    )
    for path in corpus.iterdir():
        if not path.name.startswith("train."):
            shutil.copy(path, tmp_path)
    assert ranges_in(export(checkpoint, tmp_path, tmp_path / "b")) == {}
    assert capsys.readouterr().out.splitlines()[-1] == (
        "4 matrices of the decoder lack 75% or more of their 1 x 4 blocks, which gains no "
        f"speed: {tmp_path} has no training sentences (de-en) to measure the ranges of outputs on"
    )


@pytest.mark.skipif(not can_leave_out_zeros(), reason="no such kernels here")
def test_outputs_are_the_same_to_the_last_bit_whichever_kernel_is_faster(
    folder: str, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = training_pairs(corpus, "de", "en", 40)
    source, target = (pad_sequence([p[n] for p in pairs], True, 1) for n in (0, 1))
    found = []
    for kernel in ("sparse", "dense"):
        monkeypatch.setattr(BlockSparseLinear, "__call__", getattr(BlockSparseLinear, kernel))
        found.append(network(folder)(source, None, target.roll(1, dims=1))[0])
    assert torch.equal(*found)


def test_training_sentences_are_evenly_spread(corpus: Path) -> None:
    pairs = training_pairs(corpus, "de", "en", 3)
    assert len(pairs) == 3 and all(s[-1] == t[-1] == 2 for s, t in pairs)
    everything = training_pairs(corpus, "de", "en")
    assert len(everything) == 120
    assert all(map(torch.equal, pairs[2], everything[-1]))


@pytest.mark.parametrize(
    "ranges, said",
    [
        ({"decoder.softmax": [1.0]}, "its ranges are"),
        ({"decoder.softmax": [0.0, 0.0]}, "a range of outputs must be wider than 0"),
        ({"decoder.other": [0.0, 1.0]}, "it has a range of decoder.other, and no such matrix"),
        (5, "its ranges are '5'"),
    ],
)
def test_a_folder_with_damaged_ranges_is_refused(
    ranges: Any, said: str, checkpoint: Path, corpus: Path, tmp_path: Path
) -> None:
    folder = export(checkpoint, corpus, tmp_path / "int8")
    path = Path(folder, "config.json")
    config = json.loads(path.read_text())
    config["fairseq_prune"]["network"]["ranges"] = ranges
    path.write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=f"is damaged: {said}"):
        network(folder)
