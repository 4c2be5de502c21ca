"""fairseq's encoder and decoder, their attentions fused with BERT's."""

from typing import Any

from fairseq.models.transformer import TransformerDecoderBase, TransformerEncoderBase
from torch import Tensor

from fairseq_prune.models.bert_fused.attention import BertMask, fuse_
from fairseq_prune.models.bert_fused.bert import BertFeatures
from fairseq_prune.models.bert_fused.text import BertReader


class FusedEncoder(TransformerEncoderBase):
    """fairseq's encoder; what it gives has BERT's features in it, under ``bert``."""

    bert: BertFeatures
    reader: BertReader

    def forward(
        self,
        src_tokens: Tensor,
        src_lengths: Tensor | None = None,
        return_all_hiddens: bool = False,
        token_embeddings: Tensor | None = None,
        bert_input: Tensor | None = None,
    ) -> dict[str, list[Any]]:
        """As fairseq's.

        Args:
            bert_input: what ``reader`` makes of the tokens (batch, pieces); None to ask it.
        """
        if bert_input is None:
            bert_input = self.reader(src_tokens).to(src_tokens.device)
        features, bert_padding = self.bert(bert_input)
        padding = src_tokens.eq(self.padding_idx)
        x, embedding = self.forward_embedding(src_tokens, token_embeddings)
        x = x * (1 - padding.unsqueeze(-1).type_as(x))
        x = x.transpose(0, 1)  # (T, B, C)
        states = [x] if return_all_hiddens else []
        mask = BertMask(padding, features, bert_padding)
        for layer in self.layers:
            x = layer(x, encoder_padding_mask=mask)
            if return_all_hiddens:
                states.append(x)
        if self.layer_norm is not None:
            x = self.layer_norm(x)
        return {
            "encoder_out": [x],
            "encoder_padding_mask": [padding],
            "encoder_embedding": [embedding],
            "encoder_states": states,
            "fc_results": [],
            "src_tokens": [],
            "src_lengths": [(~padding).sum(dim=1, keepdim=True).int()],
            "bert": [features],
            "bert_padding_mask": [bert_padding],
        }

    def reorder_encoder_out(
        self, encoder_out: dict[str, list[Any]], new_order: Tensor
    ) -> dict[str, list[Any]]:
        """As fairseq's, BERT's part with it."""
        found: dict[str, list[Any]] = super().reorder_encoder_out(encoder_out, new_order)
        found["bert"] = [x.index_select(1, new_order) for x in encoder_out["bert"]]
        found["bert_padding_mask"] = [
            x.index_select(0, new_order) for x in encoder_out["bert_padding_mask"] if x is not None
        ]
        return found


class FusedDecoder(TransformerDecoderBase):
    """fairseq's decoder."""

    def extract_features(
        self, prev_output_tokens: Tensor, encoder_out: Any, *args: Any, **kwargs: Any
    ) -> Any:
        """As fairseq's; the padding mask that goes to its layers has BERT's features with it."""
        (features,) = encoder_out["bert"]
        padding, bert_padding = (
            next(iter(encoder_out[name]), None)
            for name in ("encoder_padding_mask", "bert_padding_mask")
        )
        mask = BertMask(padding, features, bert_padding)
        given = {**encoder_out, "encoder_padding_mask": [mask]}
        return super().extract_features(prev_output_tokens, given, *args, **kwargs)


def fuse_stacks_(model: Any, bert: BertFeatures, reader: BertReader, dropnet: float) -> None:
    """Make the encoder and the decoder of a fairseq Transformer fused ones."""
    encoder, decoder = model.encoder, model.decoder
    for stack, name in ((encoder, "self_attn"), (decoder, "encoder_attn")):
        for number in range(len(stack.layers)):  # with layer dropout, iterating would drop some
            layer = stack.layers[number]
            fuse_(getattr(layer, name), bert.width, dropnet)
            if stack is encoder:
                layer.can_use_fastpath = False  # torch's fused layer knows no BERT
    encoder.__class__, decoder.__class__ = FusedEncoder, FusedDecoder
    encoder.bert, encoder.reader = bert, reader
