"""Small Transformers with random weights, as checkpoints, and what fairseq computes with them."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

WORDS = [f"w{number}" for number in range(24)]
EOS, FIRST = 2, 4
SMALL = {
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_embed_dim": 16,
    "encoder_ffn_embed_dim": 20,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "max_source_positions": 50,
    "max_target_positions": 50,
    "base_layers": 0,
}


def write_dictionaries(folder: Path, words: Sequence[str] = WORDS) -> Path:
    """A data folder with two dictionaries and nothing else."""
    folder.mkdir(exist_ok=True)
    for language in ("de", "en"):
        text = "".join(f"{word} 1\n" for word in words)
        (folder / f"dict.{language}.txt").write_text(text, encoding="utf-8")
    return folder


def build(words: Sequence[str] = WORDS, **options: Any) -> tuple[Any, Namespace]:
    """A Transformer of fairseq with weights that matter everywhere, and its settings."""
    from fairseq.data import Dictionary
    from fairseq.models.transformer import TransformerModel, base_architecture

    settings = Namespace(**{**SMALL, "arch": "transformer", "_name": "transformer", **options})
    base_architecture(settings)
    both = Dictionary()
    for word in words:
        both.add_symbol(word)
    task: Any = Namespace(source_dictionary=both, target_dictionary=both)
    torch.manual_seed(1)
    model = TransformerModel.build_model(settings, task).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    model.load_state_dict(model.state_dict())  # fairseq computes with copies that it makes here
    return model, settings


def write(path: Path, state: Any, settings: Any, task: str = "translation") -> str:
    """The path of a checkpoint with this model."""
    told = {"_name": task, "source_lang": "de", "target_lang": "en"}
    torch.save({"args": None, "cfg": {"model": settings, "task": told}, "model": state}, path)
    return str(path)


def log_probs(model: nn.Module, source: list[int], target: list[int]) -> list[float]:
    """What fairseq's model says of each target token and the end."""
    tokens = torch.tensor([[*source, EOS]])
    with torch.no_grad():
        logits = model(tokens, torch.tensor([tokens.shape[1]]), torch.tensor([[EOS, *target]]))[0]
    found = logits[0].log_softmax(-1)
    return [found[step, token].item() for step, token in enumerate([*target, EOS])]


def without_heads(model: Any, attention: str, gone: dict[int, list[int]], dim: int) -> None:
    """Silence heads of a dense model, in place: nothing of them reaches the output."""
    with torch.no_grad():
        for layer, heads in gone.items():
            for head in heads:
                columns = slice(head * dim, (head + 1) * dim)
                _get(model, f"{attention.format(layer)}.out_proj").weight[:, columns] = 0
    model.load_state_dict(model.state_dict())


def cut_heads(
    state: dict[str, Tensor], attention: str, gone: dict[int, list[int]], dim: int
) -> None:
    """Remove those heads from the tensors of a state dict."""
    for layer, heads in gone.items():
        name = attention.format(layer)
        total = state[f"{name}.q_proj.weight"].shape[0] // dim
        kept = [h * dim + i for h in range(total) if h not in heads for i in range(dim)]
        for one in "qkv":
            for kind in ("weight", "bias"):
                state[f"{name}.{one}_proj.{kind}"] = state[f"{name}.{one}_proj.{kind}"][kept]
        state[f"{name}.out_proj.weight"] = state[f"{name}.out_proj.weight"][:, kept]


def without_units(model: Any, layer: str, gone: list[int]) -> None:
    """Silence feed-forward units of a dense model, in place."""
    with torch.no_grad():
        _get(model, f"{layer}.fc2").weight[:, gone] = 0
    model.load_state_dict(model.state_dict())


def cut_units(state: dict[str, Tensor], layer: str, gone: list[int]) -> None:
    """Remove those units from the tensors of a state dict."""
    kept = [unit for unit in range(state[f"{layer}.fc1.bias"].shape[0]) if unit not in gone]
    for kind in ("weight", "bias"):
        state[f"{layer}.fc1.{kind}"] = state[f"{layer}.fc1.{kind}"][kept]
    state[f"{layer}.fc2.weight"] = state[f"{layer}.fc2.weight"][:, kept]


def _get(model: nn.Module, name: str) -> Any:
    return model.get_submodule(name)
