"""Transformers whose feed-forward layers and attentions have widths of their own."""

from argparse import ArgumentParser
from dataclasses import dataclass, field
from typing import (
    Any,
    Optional,  # omegaconf 2.0 knows no `str | None`
)

import torch
from fairseq.models import register_model, register_model_architecture
from fairseq.models.bart import BARTModel, bart_large_architecture
from fairseq.models.transformer import TransformerModel, base_architecture
from fairseq.models.transformer_align import TransformerAlignModel, transformer_align
from fairseq.models.transformer_lm import TransformerLanguageModel, TransformerLanguageModelConfig
from fairseq.modules import MultiheadAttention
from torch import Tensor, nn

from fairseq_prune.models._widths import per_layer


class Narrowed:
    """One width a feed-forward layer and one head count an attention, for a model of fairseq's.

    A class is this and fairseq's. Its checkpoints are written by ``fairseq-prune shrink``; the
    tensors have fairseq's names.
    """

    @classmethod
    def build_model(cls, args: Any, task: Any) -> Any:
        """fairseq's model, its layers replaced by narrower ones."""
        model = super().build_model(args, task)  # type: ignore[misc]
        for side in ("encoder", "decoder"):
            if hasattr(model, side):
                _narrow(getattr(model, side).layers, side, args)
        return model


class _WithFlags(Narrowed):
    @classmethod
    def add_args(cls, parser: ArgumentParser) -> None:
        """fairseq's flags of the model, and the widths."""
        super().add_args(parser)  # type: ignore[misc]
        for side in ("encoder", "decoder"):
            parser.add_argument(
                f"--{side}-ffn-widths", help=f"neurons of the {side}'s feed-forward layers, N,N,..."
            )
            parser.add_argument(
                f"--{side}-heads", help=f"heads of the {side}'s self-attentions, N,N,..."
            )
        parser.add_argument(
            "--decoder-cross-heads", help="heads of the decoder's cross-attentions, N,N,..."
        )
        parser.add_argument("--head-dim", type=int, help="dimensions of a head")
        parser.add_argument(
            "--decoder-head-dim", type=int, help="of a head of the decoder, where it is another"
        )


@register_model("shrunk_transformer")
class ShrunkTransformerModel(_WithFlags, TransformerModel):
    """fairseq's Transformer for translation, with widths of its own."""


@register_model("shrunk_transformer_align")
class ShrunkTransformerAlignModel(_WithFlags, TransformerAlignModel):
    """fairseq's Transformer that also aligns words."""


@register_model("shrunk_bart")
class ShrunkBARTModel(_WithFlags, BARTModel):
    """fairseq's BART."""


def _narrow(modules: Any, side: str, args: Any) -> None:
    layers = [modules[number] for number in range(len(modules))]  # layerdrop: not iterated
    widths = _of_left(args, f"{side}_ffn_widths", side, len(layers))
    size = getattr(args, f"{side}_head_dim", None) or args.head_dim
    heads = {"self_attn": _of_left(args, f"{side}_heads", side, len(layers))}
    if any(getattr(layer, "encoder_attn", None) is not None for layer in layers):
        heads["encoder_attn"] = _of_left(args, "decoder_cross_heads", side, len(layers))
    for number, layer in enumerate(layers):
        _narrow_ffn(layer, widths[number])
        for name, counts in heads.items():
            _narrow_attention(getattr(layer, name), counts[number], size)
        if side == "encoder":
            _narrow_shadows(layer)


def _of_left(args: Any, name: str, side: str, layers: int) -> list[int]:
    """The numbers of a setting, one a layer, of those layers that fairseq is told to keep."""
    keep = getattr(args, f"{side}_layers_to_keep", None)
    if not keep:
        return per_layer(args, name, layers)
    every = per_layer(args, name, len(str(getattr(args, name, None)).split(",")))
    return [every[number] for number in sorted(map(int, keep.split(",")))]


class _Attention(MultiheadAttention):
    """fairseq's attention with fewer heads, as exact as with all.

    With all, fairseq calls torch's attention, whose softmax is in the dtype of the network. With
    fewer, its own code would run, whose softmax is in float32 whatever the network is in.
    """

    def forward(
        self,
        query: Tensor,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        incremental_state: Any = None,
        need_weights: bool = True,
        static_kv: bool = False,
        attn_mask: Any = None,
        before_softmax: bool = False,
        need_head_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """As fairseq's: (time, batch, width) in and out, and weights (batch, time, source)."""
        if incremental_state is not None or static_kv or before_softmax:
            found: tuple[Tensor, Tensor | None] = super().forward(
                query, key, value, key_padding_mask, incremental_state, need_weights, static_kv,
                attn_mask, before_softmax, need_head_weights,
            )  # fmt: skip
            return found
        q, k, v = (
            self._by_head(project(x))
            for project, x in ((self.q_proj, query), (self.k_proj, key), (self.v_proj, value))
        )
        scores = (q * self.scaling) @ k.mT
        if attn_mask is not None:
            scores = scores + _additive(attn_mask, scores.dtype)
        if key_padding_mask is not None:
            scores = scores + _additive(key_padding_mask[:, None, None, :], scores.dtype)
        wide = torch.float32 if scores.dtype in (torch.float16, torch.bfloat16) else scores.dtype
        weights = scores.softmax(dim=-1, dtype=wide).type_as(scores)
        mixed = self.dropout_module(weights) @ v
        out = self.out_proj(mixed.permute(2, 0, 1, 3).flatten(2))
        if need_head_weights:
            return out, weights.transpose(0, 1)
        return out, weights.mean(dim=1) if need_weights else None

    def _by_head(self, x: Tensor) -> Tensor:
        """(time, batch, heads x size) as (batch, heads, time, size)."""
        return x.unflatten(2, (self.num_heads, self.head_dim)).permute(1, 2, 0, 3)


def _additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """A mask to add to scores; True or non-zero bytes are what is hidden."""
    if mask.is_floating_point():
        return mask.to(dtype)
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(
        mask.to(torch.bool), -torch.inf
    )


def _narrow_ffn(layer: Any, width: int) -> None:
    noise = layer.quant_noise, layer.quant_noise_block_size
    layer.fc1 = layer.build_fc1(layer.embed_dim, width, *noise)
    layer.fc2 = layer.build_fc2(width, layer.embed_dim, *noise)


def _narrow_attention(attention: MultiheadAttention, heads: int, size: int) -> None:
    """fairseq's own way of attention with fewer heads: what its head pruning does."""
    width = heads * size
    for part in ("q_proj", "k_proj", "v_proj"):
        old = getattr(attention, part)
        new = nn.Linear(old.in_features, width, bias=old.bias is not None)
        nn.init.xavier_uniform_(new.weight, gain=2**-0.5)
        setattr(attention, part, new)
    bias = attention.out_proj.bias is not None
    attention.out_proj = nn.Linear(width, attention.out_proj.out_features, bias=bias)
    nn.init.xavier_uniform_(attention.out_proj.weight)
    if bias:
        nn.init.zeros_(attention.out_proj.bias)
    attention.num_heads, attention.head_dim, attention.embed_dim = heads, size, width
    attention.scaling = size**-0.5
    attention._set_skip_embed_dim_check()
    attention.__class__ = _Attention  # it is fairseq's, with what the layers set on it


def _narrow_shadows(layer: Any) -> None:
    """The second copy that fairseq keeps of an encoder layer, and fills when it loads a file.

    It is for a fused path that wants heads as wide as the embedding, which is not taken here.
    """
    q, out = layer.self_attn.q_proj, layer.self_attn.out_proj
    shapes = {
        "in_proj_weight": (3 * q.out_features, q.in_features),
        "in_proj_bias": (3 * q.out_features,),
        "out_proj_weight": tuple(out.weight.shape),
        "fc1_weight": tuple(layer.fc1.weight.shape),
        "fc1_bias": tuple(layer.fc1.bias.shape),
        "fc2_weight": tuple(layer.fc2.weight.shape),
    }
    for name, shape in shapes.items():
        setattr(layer, name, nn.Parameter(torch.zeros(shape)))
    layer.num_heads = layer.self_attn.num_heads
    layer.can_use_fastpath = False


@register_model_architecture("shrunk_transformer", "shrunk_transformer")
def shrunk_transformer(args: Any) -> None:
    """fairseq's defaults for what no flag says."""
    base_architecture(args)


@register_model_architecture("shrunk_transformer_align", "shrunk_transformer_align")
def shrunk_transformer_align(args: Any) -> None:
    """fairseq's defaults for what no flag says."""
    transformer_align(args)


@register_model_architecture("shrunk_bart", "shrunk_bart")
def shrunk_bart(args: Any) -> None:
    """fairseq's defaults for what no flag says."""
    bart_large_architecture(args)


@dataclass
class ShrunkTransformerLanguageModelConfig(TransformerLanguageModelConfig):
    """fairseq's settings of the model, and the widths."""

    decoder_ffn_widths: Optional[str] = field(  # noqa: UP045
        default=None, metadata={"help": "neurons of the feed-forward layers, N,N,..."}
    )
    decoder_heads: Optional[str] = field(  # noqa: UP045
        default=None, metadata={"help": "heads of the self-attentions, N,N,..."}
    )
    head_dim: Optional[int] = field(  # noqa: UP045
        default=None, metadata={"help": "dimensions of a head"}
    )


@register_model("shrunk_transformer_lm", dataclass=ShrunkTransformerLanguageModelConfig)
class ShrunkTransformerLanguageModel(Narrowed, TransformerLanguageModel):
    """fairseq's Transformer language model, with widths of its own."""
