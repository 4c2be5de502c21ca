"""An attention beside which another one looks at BERT (Zhu et al. 2020, equations 2 to 4)."""

from typing import Any, NamedTuple

import torch
from fairseq.modules import MultiheadAttention
from torch import Tensor

from fairseq_prune.pruning.refusal import Refusal


class BertMask(NamedTuple):
    """What fairseq's layers hand on to their attention in place of its padding mask.

    Args:
        padding: that of the keys (batch, keys), or None.
        features: of BERT (pieces, batch, width).
        bert_padding: (batch, pieces), or None.
    """

    padding: Tensor | None
    features: Tensor
    bert_padding: Tensor | None


class FusedAttention(MultiheadAttention):
    """fairseq's attention and, as ``bert_attn``, one to BERT; it gives half of both.

    In training, the drop-net: with a chance of ``dropnet / 2`` only BERT's is taken, with the same
    chance only the other (section 3.3). Each has a weight, 0 as well, so that every weight of the
    network has a gradient in every update, on one GPU as on many. Parameters keep their names.
    """

    bert_attn: MultiheadAttention
    dropnet: float

    def forward(
        self,
        query: Tensor,
        key: Tensor | None,
        value: Tensor | None,
        key_padding_mask: Any = None,
        incremental_state: Any = None,
        need_weights: bool = True,
        static_kv: bool = False,
        attn_mask: Any = None,
        before_softmax: bool = False,
        need_head_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """As fairseq's: (time, batch, width) in and out; weights are those of the source.

        Args:
            key_padding_mask: a `BertMask`.
        """
        mask: BertMask = key_padding_mask
        own, weights = super().forward(
            query, key, value, mask.padding, incremental_state, need_weights, static_kv,
            attn_mask, before_softmax, need_head_weights,
        )  # fmt: skip
        bert, _ = self.bert_attn(
            query, mask.features, mask.features, mask.bert_padding, incremental_state,
            need_weights=False, static_kv=static_kv,
        )  # fmt: skip
        share = self.share()
        return (1 - share) * own + share * bert, weights

    def share(self) -> float:
        """BERT's part of the mean: a half, or in training what is drawn."""
        if not self.training or self.dropnet == 0:
            return 0.5
        draw = float(torch.rand(()))
        if draw < self.dropnet / 2:
            return 0.0
        return 1.0 if draw >= 1 - self.dropnet / 2 else 0.5


def fuse_(attention: Any, width: int, dropnet: float) -> None:
    """Make an attention of fairseq's a fused one.

    Args:
        width: of BERT.
    """
    if type(attention) is not MultiheadAttention or attention.use_xformers:
        raise Refusal("--arch transformer_bert_fused knows fairseq's plain attention only.")
    attention.bert_attn = MultiheadAttention(
        attention.embed_dim,
        attention.num_heads,
        kdim=width,
        vdim=width,
        dropout=attention.dropout_module.p,
        encoder_decoder_attention=True,
    )
    attention.dropnet = dropnet
    attention.__class__ = FusedAttention  # it is fairseq's, with what the layer set on it
