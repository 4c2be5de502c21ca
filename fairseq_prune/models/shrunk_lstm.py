"""An LSTM whose layers have widths of their own."""

from argparse import ArgumentParser
from typing import Any

import torch
from fairseq.models import register_model, register_model_architecture
from fairseq.models.lstm import (
    AttentionLayer,
    LSTMDecoder,
    LSTMEncoder,
    LSTMModel,
    base_architecture,
)
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from fairseq_prune.models._widths import per_layer
from fairseq_prune.pruning.refusal import Refusal


@register_model("shrunk_lstm")
class ShrunkLSTMModel(LSTMModel):
    """fairseq's LSTM, with one width a layer on both sides, and another for what attention gives.

    Its checkpoints are written by ``fairseq-prune shrink``; the tensors have fairseq's names.
    """

    @staticmethod
    def add_args(parser: ArgumentParser) -> None:
        """fairseq's flags of the LSTM, and the widths."""
        LSTMModel.add_args(parser)
        for side, what in (("encoder", "a direction of "), ("decoder", "")):
            parser.add_argument(
                f"--{side}-hidden-sizes", help=f"cells of {what}the {side}'s layers, N,N,..."
            )
        parser.add_argument(
            "--decoder-attention-dim", type=int, help="width of what attention puts out"
        )
        parser.add_argument(
            "--encoder-hidden-proj", type=_flag, help="whether states are projected (True, False)"
        )
        parser.add_argument(
            "--decoder-additional-fc", type=_flag, help="whether a layer precedes the softmax"
        )

    @classmethod
    def build_model(cls, args: Any, task: Any) -> "ShrunkLSTMModel":
        """fairseq's model, its layers replaced by narrower ones."""
        model: ShrunkLSTMModel = super().build_model(args, task)
        source = per_layer(args, "encoder_hidden_sizes", args.encoder_layers)
        target = per_layer(args, "decoder_hidden_sizes", args.decoder_layers)
        _narrow_encoder(model.encoder, args.encoder_embed_dim, source)
        _narrow_decoder(model.decoder, args, target, model.encoder.output_units)
        model.decoder.__class__ = _Decoder
        model.decoder.source_sizes = source if not args.encoder_hidden_proj else None
        model.decoder.directions = 2 if args.encoder_bidirectional else 1
        return model


class _Layers(nn.Module):
    """torch's LSTM with one width a layer; parameters have the names of torch's."""

    def __init__(self, width: int, sizes: list[int], directions: int, dropout: float) -> None:
        super().__init__()
        self.sizes, self.directions, self.dropout = sizes, directions, dropout
        for layer, size in enumerate(sizes):
            for suffix in ("", "_reverse")[:directions]:
                for name, shape in (
                    ("weight_ih", (4 * size, width)),
                    ("weight_hh", (4 * size, size)),
                    ("bias_ih", (4 * size,)),
                    ("bias_hh", (4 * size,)),
                ):
                    parameter = nn.Parameter(torch.empty(shape).uniform_(-0.1, 0.1))
                    self.register_parameter(f"{name}_l{layer}{suffix}", parameter)
            width = size * directions

    def forward(
        self, x: PackedSequence, state: Any
    ) -> tuple[PackedSequence, tuple[Tensor, Tensor]]:
        """As torch's, from a state of zeros; the final states are padded to the widest layer."""
        data, batch = x.data, int(x.batch_sizes[0])
        states: list[tuple[Tensor, Tensor]] = []
        for layer, size in enumerate(self.sizes):
            names = [
                f"{name}_l{layer}{suffix}"
                for suffix in ("", "_reverse")[: self.directions]
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            ]
            zeros = data.new_zeros(self.directions, batch, size)
            data, hidden, cell = torch._VF.lstm(
                data, x.batch_sizes, (zeros, zeros), [getattr(self, name) for name in names],
                True, 1, 0.0, self.training, self.directions == 2,
            )  # fmt: skip
            if layer + 1 < len(self.sizes):
                data = F.dropout(data, self.dropout, self.training)
            states.append((hidden, cell))
        widest = max(self.sizes)
        hiddens, cells = (
            torch.cat([_padded(s, widest) for s in part]) for part in zip(*states, strict=True)
        )
        if x.unsorted_indices is not None:
            hiddens, cells = (s.index_select(1, x.unsorted_indices) for s in (hiddens, cells))
        packed = PackedSequence(data, x.batch_sizes, x.sorted_indices, x.unsorted_indices)
        return packed, (hiddens, cells)


class _Cell(nn.LSTMCell):
    """A cell that takes and gives states as wide as the widest layer's."""

    def __init__(self, width: int, size: int, widest: int) -> None:
        super().__init__(width, size)
        self.widest = widest
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)

    def forward(  # type: ignore[override]
        self, x: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Its own part of them; the rest is zero."""
        hidden, cell = (part[:, : self.hidden_size] for part in state)
        hidden, cell = super().forward(x[:, : self.input_size], (hidden, cell))
        return _padded(hidden, self.widest), _padded(cell, self.widest)


class _Attention(AttentionLayer):
    """fairseq's attention on a state that may be padded."""

    def forward(self, x: Tensor, source: Tensor, mask: Tensor) -> Any:
        """As fairseq's."""
        return super().forward(x[:, : self.input_proj.in_features], source, mask)


class _Decoder(LSTMDecoder):
    """fairseq's decoder, begun with the encoder's states layer by layer."""

    source_sizes: list[int] | None
    directions: int

    def extract_features(
        self,
        prev_output_tokens: Tensor,
        encoder_out: Any = None,
        incremental_state: Any = None,
        src_lengths: Any = None,
    ) -> Any:
        """As fairseq's."""
        if encoder_out is not None and self.source_sizes is not None:
            hiddens, cells = (self._begin(states) for states in encoder_out[1:3])
            encoder_out = (encoder_out[0], hiddens, cells, *encoder_out[3:])
        return super().extract_features(prev_output_tokens, encoder_out, incremental_state)

    def _begin(self, states: Tensor) -> list[Tensor]:
        """The first state of each layer: its directions, side by side, without their padding."""
        assert self.source_sizes is not None
        found = []
        for state, size in zip(states, self.source_sizes, strict=True):
            parts = state.chunk(self.directions, dim=-1)
            whole = torch.cat([part[:, :size] for part in parts], dim=-1)
            found.append(_padded(whole, self.layers[0].widest))
        return found


def _padded(x: Tensor, width: int) -> Tensor:
    return F.pad(x, (0, width - x.shape[-1])) if x.shape[-1] < width else x


def _narrow_encoder(encoder: LSTMEncoder, embed: int, sizes: list[int]) -> None:
    directions = 2 if encoder.bidirectional else 1
    encoder.lstm = _Layers(embed, sizes, directions, encoder.dropout_out_module.p)
    encoder.hidden_size, encoder.output_units = max(sizes), sizes[-1] * directions


def _narrow_decoder(decoder: LSTMDecoder, args: Any, sizes: list[int], source: int) -> None:
    width, widest = args.decoder_attention_dim, max(sizes)
    inputs = [args.decoder_embed_dim + width, *sizes[:-1]]
    decoder.layers = nn.ModuleList(
        _Cell(first, size, widest) for first, size in zip(inputs, sizes, strict=True)
    )
    decoder.attention = _Attention(sizes[-1], source, width, bias=False)
    for name in ("encoder_hidden_proj", "encoder_cell_proj"):
        setattr(decoder, name, nn.Linear(source, widest) if args.encoder_hidden_proj else None)
    if hasattr(decoder, "additional_fc"):
        del decoder.additional_fc
    if args.decoder_additional_fc:
        decoder.additional_fc = nn.Linear(width, args.decoder_out_embed_dim)
    decoder.hidden_size, decoder.encoder_output_units = width, source


def _flag(text: str) -> bool:
    if text not in ("True", "False"):
        raise Refusal(text)
    return text == "True"


@register_model_architecture("shrunk_lstm", "shrunk_lstm")
def shrunk_lstm(args: Any) -> None:
    """fairseq's defaults for what no flag says."""
    base_architecture(args)
