"""A Transformer language model whose layers have widths of their own."""

from dataclasses import dataclass, field
from typing import Optional  # omegaconf 2.0 knows no `str | None`

from fairseq.models import register_model
from fairseq.models.transformer_lm import TransformerLanguageModel, TransformerLanguageModelConfig

from fairseq_prune.models.shrunk_transformer import Narrowed


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
