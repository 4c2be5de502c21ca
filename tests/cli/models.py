"""Small checkpoints with the keys of fairseq's, and a way to call the command line."""

import collections
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

EMBEDDING = "encoder.embed_tokens.weight"
DECODER_EMBEDDING = "decoder.embed_tokens.weight"
SOFTMAX = "decoder.output_projection.weight"
QUERY = "encoder.layers.0.self_attn.q_proj.weight"
SHADOW = "encoder.layers.0.in_proj_weight"
FC = "decoder.layers.0.fc1.weight"
NAMES = (EMBEDDING, QUERY, FC)  # what can be pruned, tied tensors once
SHAPES = {EMBEDDING: (20, 8), QUERY: (8, 8), FC: (16, 8)}
PRUNABLE = 19 * 8 + 8 * 8 + 16 * 8  # 344: the embedding's pad row is not


def model(seed: int = 1, dtype: torch.dtype = torch.float32, apart: bool = False) -> Any:
    """A model with one embedding for everything; ``apart``: stored three times, as from a GPU."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(dtype)

    embedding = normal(20, 8)
    state: Any = collections.OrderedDict()
    state["encoder.version"] = torch.tensor([3.0])
    state[EMBEDDING] = embedding
    state[QUERY] = normal(8, 8)
    state["encoder.layers.0.self_attn.q_proj.bias"] = normal(8)
    state[SHADOW] = normal(24, 8)
    state["encoder.layers.0.self_attn_layer_norm.weight"] = normal(8)
    state[DECODER_EMBEDDING] = embedding.clone() if apart else embedding
    state[FC] = normal(16, 8)
    state[SOFTMAX] = embedding.clone() if apart else embedding
    state["steps"] = torch.tensor([seed])
    return state


def checkpoint(seed: int = 1, **more: Any) -> dict[str, Any]:
    """A dense checkpoint; ``more`` goes to :func:`model`."""
    history = [{"criterion_name": "C", "optimizer_name": "O", "num_updates": 4}]
    return {
        "args": None,
        "cfg": {
            "model": {"_name": "transformer", "share_all_embeddings": True},
            "task": {"_name": "translation"},
        },
        "model": model(seed, **more),
        "criterion": None,
        "optimizer_history": history,
        "task_state": {"src_dict": "kept"},
        "extra_state": {"train_iterator": {"epoch": 2}, "best": 1.5},
        "last_optimizer_state": {"state": {}, "param_groups": [{"params": [0]}]},
    }


def write(path: Path, content: Any) -> str:
    """The path of a file with this content."""
    torch.save(content, path)
    return str(path)


def read(path: str | Path) -> Any:
    """The content of a file."""
    return torch.load(path, weights_only=True)


def masks_in(path: str | Path) -> Any:
    """The masks in a file."""
    from fairseq_prune.checkpoints import storage

    masks = storage.masks_of(storage.load(path), path)
    assert masks is not None
    return masks
