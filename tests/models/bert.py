"""A tiny BERT with random weights, its vocabulary made on the spot, and models fused with it."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch

NEEDS_TRANSFORMERS = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="the extra bert is not installed"
)
WIDTH = 12
LETTERS = "abcdefghijkl"
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{x}" for x in LETTERS)]
FLAGS = (
    "--arch transformer_bert_fused --encoder-embed-dim 16 --encoder-ffn-embed-dim 32 "
    "--encoder-layers 2 --encoder-attention-heads 2 --decoder-embed-dim 16 "
    "--decoder-ffn-embed-dim 32 --decoder-layers 2 --decoder-attention-heads 2 "
    "--share-decoder-input-output-embed --dropout 0.1 --ddp-backend legacy_ddp"
).split()


def save_bert(folder: Path, seed: int = 1, positions: int = 24, safe: bool = True) -> Path:
    """A folder with a BERT of two layers and a tokenizer of letters, as HuggingFace has them."""
    from fairseq_prune.models.bert_fused.bert import import_transformers

    transformers = import_transformers()
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    config = transformers.BertConfig(
        vocab_size=len(PIECES), hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=20, max_position_embeddings=positions, initializer_range=0.5,
    )  # fmt: skip
    network = transformers.BertModel(config)
    if safe:
        network.save_pretrained(folder)
    else:
        config.save_pretrained(folder)
        torch.save(network.state_dict(), folder / "pytorch_model.bin")
    (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n")
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def flags(folder: Path, *more: Any) -> list[Any]:
    """Those of a tiny model fused with the BERT in a folder."""
    return [*FLAGS, "--bert-model", folder, *more]


def task() -> Any:
    """What a model is built for: words of letters that the BERT knows."""
    from types import SimpleNamespace

    from fairseq.data import Dictionary

    words = Dictionary()
    for word in "ab ba ca da ea fa ga ha ia ja ka la zz".split():
        words.add_symbol(word)
    config = SimpleNamespace(source_lang="de")
    return SimpleNamespace(source_dictionary=words, target_dictionary=words, cfg=config)


def build(folder: Path, *more: Any, seed: int = 1) -> Any:
    """A fused model with random weights, in evaluation mode."""
    from fairseq import models

    from tests.models.nets import settings

    args = settings(" ".join(str(flag) for flag in flags(folder, *more)))
    torch.manual_seed(seed)
    return models.build_model(args, task()).eval()


def batch(*sentences: str) -> dict[str, torch.Tensor]:
    """Sources, padded on the left as fairseq does, and what the decoder has seen so far."""
    words = task().source_dictionary
    rows = [words.encode_line(line, add_if_not_exist=False).long() for line in sentences]
    most = max(map(len, rows))
    source = torch.full((len(rows), most), words.pad())
    for place, row in enumerate(rows):
        source[place, most - len(row) :] = row
    lengths = torch.tensor([len(row) for row in rows])
    target = source.new_tensor([[2, 5, 6, 7]]).expand(len(rows), -1)
    return {"src_tokens": source, "src_lengths": lengths, "prev_output_tokens": target}
