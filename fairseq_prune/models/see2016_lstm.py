"""The LSTM of See, Luong & Manning (2016), which fairseq's own cannot say."""

from argparse import ArgumentParser
from typing import Any

import torch
from fairseq.models import (
    FairseqEncoderDecoderModel,
    FairseqIncrementalDecoder,
    register_model,
    register_model_architecture,
)
from fairseq.models.lstm import LSTM, Embedding, Linear, LSTMEncoder
from fairseq.modules import FairseqDropout
from torch import Tensor, nn

from fairseq_prune.pruning.refusal import Refusal

_SIZES = ("embed-dim", "hidden-size", "layers")
_LONGEST = 100_000  # words: a limit is the task's to set, in training another than in decoding


@register_model("see2016_lstm")
class See2016LSTMModel(FairseqEncoderDecoderModel):
    """See, Luong & Manning (2016), section 3.1; attention of Luong et al. (2015), section 3.1.

    Both sides are stacks of n cells a layer, so that a layer's matrix is 4n x 2n. A target layer
    begins with the last state of the source layer of the same number. Attention is global: the
    softmax over h . s, h the decoder's state and s those of the encoder, mixes s to c, and the
    softmax over words reads tanh(W [c; h]), W n x 2n without bias. fairseq's LSTM has a projection
    of h beside, and feeds the attention's output back to the first layer (2015, section 3.3).

    Dropout is on vertical connections only (Zaremba et al. 2014): embeddings, between layers, what
    the softmax reads; and on the encoder's states that attention reads, as in fairseq's encoder.
    All weights and biases begin uniform in [-0.1, 0.1].
    """

    @staticmethod
    def add_args(parser: ArgumentParser) -> None:
        """Sizes under the names of fairseq's LSTM, and what else can be chosen."""
        for side in ("encoder", "decoder"):
            for size in _SIZES:
                parser.add_argument(f"--{side}-{size}", type=int, help=f"the {side}'s {size}")
        parser.add_argument("--dropout", type=float, help="dropout on vertical connections")
        parser.add_argument(
            "--decoder-attention", help="whether the decoder attends to the source (True, False)"
        )
        parser.add_argument(
            "--reverse-source", action="store_true", help="read the source from its end"
        )

    @classmethod
    def build_model(cls, args: Any, task: Any) -> "See2016LSTMModel":
        """The model of these settings.

        Raises ValueError where the two sides cannot be joined, and for an attention that is
        neither True nor False.
        """
        for name in ("hidden_size", "layers"):
            source, target = (getattr(args, f"{side}_{name}") for side in ("encoder", "decoder"))
            if source != target:
                flag = name.replace("_", "-")
                raise Refusal(
                    f"--encoder-{flag} {source} and --decoder-{flag} {target} must be equal: a "
                    "target layer begins with the state of the source layer of its number."
                )
        encoder = (_ReversedEncoder if args.reverse_source else LSTMEncoder)(
            task.source_dictionary,
            embed_dim=args.encoder_embed_dim,
            hidden_size=args.encoder_hidden_size,
            num_layers=args.encoder_layers,
            dropout_in=args.dropout,
            dropout_out=args.dropout,
            max_source_positions=_LONGEST,
        )
        return cls(encoder, _Decoder(args, task.target_dictionary))


class _ReversedEncoder(LSTMEncoder):
    """fairseq's encoder, reading the last word first (Sutskever et al. 2014)."""

    def forward(self, src_tokens: Tensor, src_lengths: Tensor, enforce_sorted: bool = True) -> Any:
        """As fairseq's; padding on the left comes to lie on the right, where it is left out."""
        return super().forward(src_tokens.flip(1), src_lengths, enforce_sorted)


class DotAttention(nn.Module):
    """Global attention with the dot product as its score, and nothing to learn in the score."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.output_proj = Linear(2 * width, width, bias=False)

    def forward(self, x: Tensor, source: Tensor, padding: Tensor) -> tuple[Tensor, Tensor]:
        """The attentional states (batch, words, width), and weights (batch, words, source).

        Args:
            x: the decoder's states, (batch, words, width).
            source: the encoder's, (source, batch, width).
            padding: True where the source has none, (source, batch).
        """
        memory = source.transpose(0, 1)
        scores = torch.bmm(x, memory.mT).masked_fill(padding.t().unsqueeze(1), -torch.inf)
        wide = torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else x.dtype
        weights = scores.softmax(dim=-1, dtype=wide).type_as(x)
        mixed = torch.cat((torch.bmm(weights, memory), x), dim=-1)
        return torch.tanh(self.output_proj(mixed)), weights


class _Decoder(FairseqIncrementalDecoder):
    """Without input feeding a layer can run over all words at once."""

    def __init__(self, args: Any, dictionary: Any) -> None:
        super().__init__(dictionary)
        width, layers = args.decoder_hidden_size, args.decoder_layers
        self.dropout_module = FairseqDropout(args.dropout, module_name=type(self).__name__)
        self.embed_tokens = Embedding(len(dictionary), args.decoder_embed_dim, dictionary.pad())
        self.lstm = LSTM(
            args.decoder_embed_dim,
            width,
            num_layers=layers,
            dropout=args.dropout if layers > 1 else 0.0,
        )
        attends = _flag("--decoder-attention", args.decoder_attention)
        self.attention = DotAttention(width) if attends else None
        self.fc_out = Linear(width, len(dictionary))
        self.is_reversed = bool(args.reverse_source)

    def forward(
        self,
        prev_output_tokens: Tensor,
        encoder_out: Any = None,
        incremental_state: Any = None,
        src_lengths: Any = None,
    ) -> tuple[Tensor, Any]:
        """Logits (batch, words, vocabulary), and attention (batch, words, source) or None."""
        x, weights = self.extract_features(prev_output_tokens, encoder_out, incremental_state)
        return self.output_layer(x), weights

    def extract_features(
        self, prev_output_tokens: Tensor, encoder_out: Any = None, incremental_state: Any = None
    ) -> tuple[Tensor, Any]:
        """What the softmax reads (batch, words, width), and the attention.

        With a state of earlier words, for the last word alone.
        """
        cached = self.get_incremental_state(incremental_state, "cached_state")
        if cached is not None:
            prev_output_tokens = prev_output_tokens[:, -1:]
            state = cached["prev_hiddens"], cached["prev_cells"]
        else:
            state = encoder_out[1].contiguous(), encoder_out[2].contiguous()
        x = self.dropout_module(self.embed_tokens(prev_output_tokens))
        x, (hiddens, cells) = self.lstm(x.transpose(0, 1), state)
        self._keep(incremental_state, hiddens, cells)
        x, weights = x.transpose(0, 1), None
        if self.attention is not None:
            x, weights = self.attention(x, encoder_out[0], encoder_out[3])
            weights = weights.flip(2) if self.is_reversed else weights
        return self.dropout_module(x), weights

    def output_layer(self, features: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.fc_out(features)
        return logits

    def reorder_incremental_state(self, incremental_state: Any, new_order: Tensor) -> None:
        """The states of the sentences in this order: beam search drops and repeats some."""
        cached = self.get_incremental_state(incremental_state, "cached_state")
        if cached is not None:
            names = ("prev_hiddens", "prev_cells")
            self._keep(incremental_state, *(cached[n].index_select(1, new_order) for n in names))

    def max_positions(self) -> int:
        """The most words."""
        return _LONGEST

    def _keep(self, incremental_state: Any, hiddens: Tensor, cells: Tensor) -> None:
        """States of (layers, batch, width) for the next word."""
        state = {"prev_hiddens": hiddens, "prev_cells": cells}
        self.set_incremental_state(incremental_state, "cached_state", state)


def _flag(name: str, value: Any) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    if str(value).lower() not in known:
        raise Refusal(f"{name} {value} must be True or False.")
    return known[str(value).lower()]


@register_model_architecture("see2016_lstm", "see2016_lstm")
def see2016_lstm(args: Any) -> None:
    """4 layers of 1000 cells and embeddings, dropout 0.2: See et al. (2016), section 3.1.

    With dictionaries of 50,000 entries the 12 classes have 216M weights, the paper's figure.
    """
    _defaults(args, width=1000, layers=4)


@register_model_architecture("see2016_lstm", "see2016_lstm_iwslt")
def see2016_lstm_iwslt(args: Any) -> None:
    """2 layers of 512, dropout 0.2, for IWSLT'15 English-Vietnamese.

    The sizes are those of Luong, Brevdo & Zhao (2017), Neural Machine Translation (seq2seq)
    tutorial, which has 26.1 BLEU with a bidirectional encoder and a learned score. See et al.'s
    own small model has no attention (--decoder-attention False); they do not say its sizes.
    """
    _defaults(args, width=512, layers=2)


def _defaults(args: Any, width: int, layers: int) -> None:
    values = {
        "encoder_embed_dim": width,
        "encoder_hidden_size": width,
        "encoder_layers": layers,
        "decoder_embed_dim": width,
        "decoder_hidden_size": width,
        "decoder_layers": layers,
        "dropout": 0.2,
        "decoder_attention": "True",
        "reverse_source": False,
    }
    for name, value in values.items():
        given = getattr(args, name, None)
        setattr(args, name, value if given is None else given)
