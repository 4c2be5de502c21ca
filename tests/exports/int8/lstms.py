"""Small LSTMs with random weights, of every kind that is exported in 8 bits."""

from argparse import Namespace
from typing import Any

import torch

WORDS = [f"w{number}" for number in range(24)]
SIZES = {
    **{f"{side}_{size}": 16 for side in ("encoder", "decoder")
       for size in ("embed_dim", "hidden_size")},
    "encoder_layers": 2, "decoder_layers": 2, "decoder_out_embed_dim": 16,
    "criterion": "cross_entropy",
}  # fmt: skip
TIED = {"share_decoder_input_output_embed": True}
WIDTHS = {"encoder_hidden_sizes": "12,8", "decoder_hidden_sizes": "12,8",
          "decoder_attention_dim": 10, "encoder_hidden_proj": False}  # fmt: skip
# name: architecture and settings
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "lstm": ("lstm", {}),
    "lstm, both directions": ("lstm", {"encoder_bidirectional": True}),
    "lstm, another width": ("lstm", {"decoder_hidden_size": 24, "decoder_out_embed_dim": 12}),
    "lstm, no attention": ("lstm", {"decoder_attention": "0"}),
    "lstm, one table for the decoder": ("lstm", TIED),
    "lstm, one table": ("lstm", {**TIED, "share_all_embeddings": True}),
    "shrunk_lstm": ("shrunk_lstm", {**WIDTHS, "decoder_additional_fc": False,
                                    "decoder_out_embed_dim": 10}),
    "shrunk_lstm, a layer before the softmax": ("shrunk_lstm", {
        **WIDTHS, "decoder_additional_fc": True}),
    "shrunk_lstm, both directions": ("shrunk_lstm", {
        **WIDTHS, "encoder_bidirectional": True, "decoder_hidden_sizes": "24,16",
        "decoder_additional_fc": True}),
    "see2016_lstm": ("see2016_lstm", {}),
    "see2016_lstm, reversed": ("see2016_lstm", {"reverse_source": True}),
    "see2016_lstm, no attention": ("see2016_lstm", {"decoder_attention": "False"}),
}  # fmt: skip


def dictionary(size: int = len(WORDS)) -> Any:
    """fairseq's, with so many words."""
    from fairseq.data import Dictionary

    found = Dictionary()
    for number in range(size):
        found.add_symbol(f"w{number}")
    return found


def build(kind: str, size: int = len(WORDS), **options: Any) -> tuple[Any, Namespace]:
    """One of KINDS, for so many words, with weights that matter everywhere, and its settings."""
    from fairseq.models import ARCH_CONFIG_REGISTRY, ARCH_MODEL_REGISTRY

    arch, own = KINDS[kind]
    settings = Namespace(**{**SIZES, "arch": arch, "_name": arch, **own, **options})
    ARCH_CONFIG_REGISTRY[arch](settings)
    task: Any = Namespace(source_dictionary=dictionary(size), target_dictionary=dictionary(size))
    torch.manual_seed(1)
    model = ARCH_MODEL_REGISTRY[arch].build_model(settings, task).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return model, settings


def content_of(model: Any, settings: Namespace) -> dict[str, Any]:
    """A checkpoint with this model."""
    told = {"_name": "translation", "source_lang": "de", "target_lang": "en"}
    return {"args": None, "cfg": {"model": settings, "task": told}, "model": model.state_dict()}


def batch(lengths: list[int], left: bool = True) -> torch.Tensor:
    """Sentences of these lengths, their ends included, padded on the left or on the right."""
    draw = torch.Generator().manual_seed(1)
    tokens = torch.ones(len(lengths), max(lengths), dtype=torch.long)
    for row, size in zip(tokens, lengths, strict=True):
        words = torch.cat((torch.randint(4, 4 + len(WORDS), (size - 1,), generator=draw),
                           torch.tensor([2])))  # fmt: skip
        row[len(row) - size :] = words if left else row[len(row) - size :]
        if not left:
            row[:size] = words
    return tokens
