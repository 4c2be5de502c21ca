"""Folders of a BERT that were made by anybody: one sentence, none of their code run."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from fairseq_prune.models.bert_fused.bert import open_bert
from fairseq_prune.pruning.refusal import Refusal
from tests.models.bert import NEEDS_TRANSFORMERS, save_bert
from tests.untrusted.damage import FEW, MANY, spoilt
from tests.untrusted.test_checkpoints import Calls

pytestmark = NEEDS_TRANSFORMERS
FILES = ("config.json", "tokenizer_config.json", "vocab.txt", "model.safetensors")


@pytest.fixture
def bert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return save_bert(tmp_path / "bert")


def opens(folder: Path) -> str:
    """What is said of the folder; "" where it is taken."""
    try:
        open_bert(str(folder), -1)
    except Refusal as refusal:
        assert str(folder) in str(refusal) and "\n" not in str(refusal)
        return str(refusal)
    return ""


def configure(folder: Path, **settings: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def test_layers_that_no_file_could_have_are_refused_at_once(bert: Path) -> None:
    configure(bert, num_hidden_layers=10**6)
    assert "its config.json says '1000000' layers" in opens(bert)


def test_weights_that_are_not_there_are_not_drawn_at_random(bert: Path) -> None:
    configure(bert, num_hidden_layers=3)
    assert "it has no weights for encoder.layer.2.attention" in opens(bert)


def test_weights_of_other_sizes_are_refused(bert: Path) -> None:
    configure(bert, intermediate_size=10**10)
    assert "its weights are of other sizes than its config.json says" in opens(bert)


def test_neither_a_pickle_nor_code_in_the_folder_is_run(bert: Path, tmp_path: Path) -> None:
    (bert / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass M: pass\n")
    configure(bert, model_type="evil", auto_map={"AutoConfig": "evil.M", "AutoModel": "evil.M"})
    assert "it comes with code of its own, which is not run" in opens(bert)
    bert = save_bert(tmp_path / "pickled", safe=False)
    torch.save(Calls(os.system, f"touch {tmp_path}/ran"), bert / "pytorch_model.bin")
    assert "its weights hold more than tensors, which could run code" in opens(bert)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("count", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_bytes_that_were_changed_or_cut(count: int, name: str, bert: Path) -> None:
    for bad in spoilt((bert / name).read_bytes(), count):
        (bert / name).write_bytes(bad)
        opens(bert)
