"""Binarised data that were made by anybody: refused by name, before fairseq maps them."""

import gc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from fairseq.data import indexed_dataset

from fairseq_prune.data.binarised_check import check_stored
from fairseq_prune.data.samples import check_sample
from fairseq_prune.evaluation.decode import Decoder
from fairseq_prune.evaluation.settings import Settings
from tests.untrusted.damage import FEW, MANY, spoilt


def write(folder: Path, kind: Any = np.uint16) -> Path:
    """Some sentences as fairseq-preprocess stores them; gives their path without an ending."""
    builder = indexed_dataset.MMapIndexedDatasetBuilder(str(folder / "test.de-en.de.bin"), kind)
    for length in 10 * (3, 100, 0, 7):
        builder.add_item(torch.arange(length) + 4)
    builder.finalize(str(folder / "test.de-en.de.idx"))
    return folder / "test.de-en.de"


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.int64])
def test_sound_data_are_taken(kind: Any, tmp_path: Path) -> None:
    check_stored(write(tmp_path, kind))


@pytest.mark.parametrize("ending", [".idx", ".bin"])
@pytest.mark.parametrize("count", [20 * FEW, pytest.param(10 * MANY, marks=pytest.mark.slow)])
def test_what_is_taken_can_be_read(count: int, ending: str, tmp_path: Path) -> None:
    path = write(tmp_path)
    file = path.with_name(path.name + ending)
    taken = 0
    for bad in spoilt(file.read_bytes(), count):
        file.write_bytes(bad)
        try:
            check_stored(path)
        except ValueError as error:
            assert str(file.with_suffix(".idx")) in str(error) and "\n" not in str(error)
            continue
        if not bad or not (bad.startswith(b"MMIDIDX") or ending == ".bin"):
            continue  # of another format, as far as one can tell
        read = indexed_dataset.MMapIndexedDataset(str(path))
        assert [len(read[i]) for i in range(len(read))] == read.sizes.tolist()
        taken += 1
    assert taken > 0


def test_an_index_of_more_sentences_than_it_has_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path)
    index = path.with_name(path.name + ".idx")
    index.write_bytes(index.read_bytes()[:-3])
    decoder: Any = object.__new__(Decoder)
    decoder.settings = Settings(data=str(tmp_path))
    with pytest.raises(ValueError, match=r"test\.de-en\.de\.idx cannot be read: its length is not"):
        decoder._load("test", None)
    gc.collect()
    assert capfd.readouterr().err == ""


def test_a_token_that_is_in_no_dictionary_is_named(tmp_path: Path) -> None:
    task = SimpleNamespace(source_dictionary=range(9), target_dictionary=range(12))
    odd = ((9, 8, "source", 9), (8, 12, "target", 12), (0, -1, "target", -1))
    for source, target, side, number in odd:
        sample = {"net_input": {"src_tokens": torch.tensor([[source]])}}
        sample["target"] = torch.tensor([[target]])
        said = f"the {side} side of .* has the token number {number},"
        with pytest.raises(ValueError, match=said):
            check_sample(sample, task, str(tmp_path))
    sound = {"net_input": {"src_tokens": torch.tensor([[8]])}, "target": None}
    check_sample(sound, task, str(tmp_path))
