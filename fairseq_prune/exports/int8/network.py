"""An LSTM for translation in integers, which fairseq's search decodes.

One network for the three that can be exported: fairseq's ``lstm``, ``see2016_lstm`` and
``shrunk_lstm``. What goes into a matrix is between -1 and 1 by construction, so that it has a
fixed scale: a cell's output is a sigmoid times a tanh, attention mixes such outputs and ends with a
tanh, and a table of embeddings is divided by its largest entry, by which the matrix that reads it
is multiplied. Nothing has to be calibrated on data.

In the decoder a layer's two matrices are one, [W_ih W_hh], which reads the layer's input and its
last output side by side. Attention reads the source once for all hypotheses of a sentence.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from fairseq.models import FairseqEncoder, FairseqEncoderDecoderModel, FairseqIncrementalDecoder
from torch import Tensor

from fairseq_prune.checkpoints.storage import CheckpointError
from fairseq_prune.exports.int8.folder import FILE, Int8Folder
from fairseq_prune.exports.int8.linear import Layer, numbers
from fairseq_prune.exports.int8.parts import Maker, Parts, Spec, tied_table
from fairseq_prune.exports.int8.sparse_linear import maker

_STATE = "state"
_FEW_NUMBERS = 4096  # up to which fewer calls are worth more than faster ones


class Few(NamedTuple):
    """A softmax over some words.

    Args:
        words: their numbers, rising.
        layer: gives a logit for each.
    """

    words: Tensor
    layer: Layer


class Memory(NamedTuple):
    """What the encoder gives, and which sentence of it each row of the decoder is of.

    Args:
        states: (sentences, words, width).
        shut: -inf where a sentence has no word, else 0, (sentences, 1, words); None where all are
            equally long.
        hiddens, cells: with which each decoder layer begins, (sentences, cells).
        rows: the sentence of each row; None where each row is the next sentence.
        each: how many rows a sentence has, all of them one after the other.
        few: the softmax over the words of a shortlist; None for that over all.
    """

    states: Tensor
    shut: Tensor | None
    hiddens: Sequence[Tensor]
    cells: Sequence[Tensor]
    rows: Tensor | None = None
    each: int = 1
    few: "Few | None" = None

    def of(self, order: Tensor) -> "Memory":
        """For the rows in this order, of which some may be gone or repeated."""
        rows = order if self.rows is None else self.rows[order]
        if self.rows is not None and torch.equal(rows, self.rows):
            return self
        kept, counts = torch.unique_consecutive(rows, return_counts=True)
        each = int(counts[0])
        if not bool((counts == each).all()):
            kept, each = rows, 1
        numbers = torch.arange(len(kept)).repeat_interleave(each)
        return self._of_sentences(kept)._replace(rows=numbers, each=each)

    def _of_sentences(self, kept: Tensor) -> "Memory":
        return Memory(
            self.states.index_select(0, kept),
            None if self.shut is None else self.shut.index_select(0, kept),
            [part.index_select(0, kept) for part in self.hiddens],
            [part.index_select(0, kept) for part in self.cells],
            few=self.few,
        )

    def first(self, part: Tensor) -> Tensor:
        """Of ``hiddens`` or ``cells``, a line for each row."""
        return part if self.rows is None else part.index_select(0, self.rows)

    def attend(self, query: Tensor) -> Tensor:
        """The mixtures of the states that (rows, width) ask for, (rows, width)."""
        found = torch.bmm(query.view(len(self.states), self.each, -1), self.states.mT)
        found = found if self.shut is None else found.add_(self.shut)
        mixed = torch.bmm(found.softmax(dim=-1), self.states)
        return mixed.view(query.shape)


def _tanh(x: Tensor) -> Tensor:
    """tanh(x), of many numbers by torch's sigmoid, which takes a fifth of the time."""
    if x.numel() < _FEW_NUMBERS:
        return x.tanh()
    return (x * 2.0).sigmoid_().mul_(2.0).sub_(1.0)


def _stepped(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """An LSTM's next hidden and cell, (rows, cells); gates (rows, 4 cells) are i, f, o, 2 g."""
    i, f, o, new = gates.sigmoid_().chunk(4, dim=1)
    # tanh(g) = 2 sigmoid(2 g) - 1
    cell = torch.addcmul(f * cell, i, new, value=2.0).sub_(i)
    return o * _tanh(cell), cell


class _Direction:
    """One direction of an encoder's layer."""

    def __init__(self, parts: Parts, name: str, width: int, cells: int) -> None:
        self._layer = parts.linear(name, 4 * cells, width + cells)
        self._cells, self._is_backward = cells, name == "backward"

    def __call__(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Outputs (words, sentences, cells), and the last hidden and cell, (sentences, cells).

        Args:
            x: (words, sentences, width).
            lengths: of the sentences; None where none is padded.
        """
        hidden = cell = torch.zeros(x.shape[1], self._cells)
        words = list(enumerate(x.unbind(0)))
        outputs = []
        for t, word in reversed(words) if self._is_backward else words:
            before = hidden, cell
            hidden, cell = _stepped(self._layer(torch.cat((word, hidden), dim=1)), cell)
            if lengths is not None:
                inside = (lengths > t)[:, None]
                hidden = torch.where(inside, hidden, before[0])
                cell = torch.where(inside, cell, before[1])
            outputs.append(hidden)
        return torch.stack(outputs[::-1] if self._is_backward else outputs), hidden, cell


class _Encoder(FairseqEncoder):
    def __init__(self, spec: Spec, parts: Parts, dictionary: Any, table: Tensor) -> None:
        super().__init__(dictionary)
        self._spec, self._pad, self._table = spec, dictionary.pad(), table
        width, self._layers = table.shape[1], []
        for number, cells in enumerate(spec.encoder):
            part = parts / f"layers.{number}"
            names = ("forward", "backward")[: spec.directions]
            self._layers.append([_Direction(part, name, width, cells) for name in names])
            width = spec.directions * cells
        self._begins: list[Layer | None] = [None, None]
        if spec.projects:
            kinds = ("hidden", "cell")
            self._begins = [parts.linear(f"begin.{kind}", None, width) for kind in kinds]

    def forward(self, src_tokens: Tensor, src_lengths: Any = None, **_: Any) -> Memory:
        """What (sentences, words) of tokens give, padded on either side."""
        real, lengths, shut = src_tokens.ne(self._pad), None, None
        if bool(real.all()):
            tokens = src_tokens.flip(1) if self._spec.reversed else src_tokens
        else:
            lengths = real.sum(dim=1)
            tokens = _aligned(src_tokens, real, self._spec.reversed)
            beyond = torch.arange(tokens.shape[1]) >= lengths[:, None]
            shut = torch.zeros(tokens.shape).masked_fill_(beyond, -torch.inf)[:, None]
        x, hiddens, cells = numbers(self._table[tokens.t()]), [], []
        for layer in self._layers:
            found = [direction(x, lengths) for direction in layer]
            outputs, hidden, cell = (torch.cat(part, dim=-1) for part in zip(*found, strict=True))
            hiddens.append(hidden)
            cells.append(cell)
            x = outputs
        states = outputs.transpose(0, 1).contiguous()
        of_hidden, of_cell = self._begins
        return Memory(states, shut, self._begun(hiddens, of_hidden), self._begun(cells, of_cell))

    def _begun(self, states: list[Tensor], layer: Layer | None) -> list[Tensor]:
        """With what the decoder's layers begin."""
        if layer is not None:
            states = [layer.of_any_size(state) for state in states]
        return [s[:, :size] for s, size in zip(states, self._spec.decoder, strict=False)]

    def reorder_encoder_out(self, encoder_out: Memory, new_order: Tensor) -> Memory:
        """As :meth:`Memory.of`."""
        return encoder_out.of(new_order)

    def max_positions(self) -> int:
        """The most tokens of a source."""
        return self._spec.positions[0]


def _aligned(tokens: Tensor, real: Tensor, is_reversed: bool) -> Tensor:
    """Sentences in the order in which they are read, their padding at the end.

    Args:
        tokens: (sentences, words); ``real`` says which are no padding.
    """
    words = tokens.shape[1]
    places = torch.arange(words)
    if is_reversed:
        last = words - 1 - real.flip(1).int().argmax(dim=1, keepdim=True)
        return tokens.gather(1, (last - places).remainder(words))
    first = real.int().argmax(dim=1, keepdim=True)
    return tokens.gather(1, (first + places).remainder(words))


class _Decoder(FairseqIncrementalDecoder):
    def __init__(self, spec: Spec, parts: Parts, dictionary: Any, table: Tensor) -> None:
        super().__init__(dictionary)
        self._spec, self._table = spec, table
        width, last = table.shape[1] + spec.feeds, spec.decoder[-1]
        # a row's state is one line: what is fed back, outputs, cells
        self._sizes = [spec.feeds + spec.decoder[0], *spec.decoder[1:], *spec.decoder]
        self._layers = []
        for number, cells in enumerate(spec.decoder):
            self._layers.append(parts.linear(f"layers.{number}", 4 * cells, width + cells))
            width = cells
        source = spec.directions * spec.encoder[-1]
        self._query = self._mix = self._fc = None
        if spec.attention == "learned":
            self._query = parts.linear("attention.input", source, last)
        if spec.attention != "none":
            self._mix = parts.linear("attention.output", spec.feeds or None, source + last)
        if spec.has_fc:
            self._fc = parts.linear("fc", None, None)
        self._softmax = parts.linear("softmax", len(dictionary), None)

    def forward(
        self,
        prev_output_tokens: Tensor,
        encoder_out: Any = None,
        incremental_state: Any = None,
        **_: Any,
    ) -> tuple[Tensor, None]:
        """Logits (rows, words, tokens); no attention is given.

        With a state of earlier words, for the last word alone.
        """
        features = self.features(prev_output_tokens, encoder_out, incremental_state)
        logits = [self.logits(part, encoder_out.few) for part in features.unbind(1)]
        return logits[0].unsqueeze(1) if len(logits) == 1 else torch.stack(logits, dim=1), None

    def features(
        self, prev_output_tokens: Tensor, memory: Memory, incremental_state: Any = None
    ) -> Tensor:
        """What :meth:`logits` takes, (rows, words, width); with a state as :meth:`forward`."""
        found, is_projected = self.get_incremental_state(incremental_state, _STATE), False
        if found is None:
            state, is_projected = self._first(memory), self._spec.projects
        else:
            state, prev_output_tokens = found[_STATE], prev_output_tokens[:, -1:]
        features = []
        for tokens in prev_output_tokens.unbind(1):
            x = numbers(self._table[tokens])
            x, state = self._step(x, state, memory, is_projected)
            features.append(x)
            is_projected = False
        self.set_incremental_state(incremental_state, _STATE, {_STATE: state})
        return x.unsqueeze(1) if len(features) == 1 else torch.stack(features, dim=1)

    def logits(self, features: Tensor, few: Few | None = None) -> Tensor:
        """Logits (rows, tokens) of (rows, width); of a few words only, if there are any."""
        softmax = self._softmax if few is None else few.layer
        if self._fc is None:
            return softmax(features)
        return softmax.of_any_size(self._fc(features))  # which has no bound

    def few(self, words: Tensor) -> Few:
        """The softmax over these words, of which the numbers rise."""
        return Few(words, self._softmax.of_rows(words))

    def _first(self, memory: Memory) -> Tensor:
        """The state before the first word."""
        begun = [memory.first(one) for one in (*memory.hiddens, *memory.cells)]
        return torch.cat((torch.zeros(len(begun[0]), self._spec.feeds), *begun), dim=1)

    def _step(
        self, x: Tensor, state: Tensor, memory: Memory, is_projected: bool
    ) -> tuple[Tensor, Tensor]:
        """What the softmax, or the layer before it, reads, and the next state.

        Args:
            x: the words' embeddings, (rows, width).
            is_projected: whether the state's outputs are projections, which have no bound.
        """
        parts, count = state.split(self._sizes, dim=1), len(self._layers)
        hiddens, cells = [], []
        for layer, before, cell in zip(self._layers, parts[:count], parts[count:], strict=True):
            read = torch.cat((x, before), dim=1)
            x, cell = _stepped(layer.of_any_size(read) if is_projected else layer(read), cell)
            hiddens.append(x)
            cells.append(cell)
        if self._mix is not None:
            query = x if self._query is None else self._query(x)
            x = _tanh(self._mix(torch.cat((memory.attend(query), x), dim=1)))
        fed = (x,) if self._spec.feeds else ()
        return x, torch.cat((*fed, *hiddens, *cells), dim=1)

    def reorder_incremental_state(self, incremental_state: Any, new_order: Tensor) -> None:
        """The rows in this order: beam search drops and repeats some."""
        state = self.get_incremental_state(incremental_state, _STATE)
        if state is not None:
            state = {_STATE: state[_STATE].index_select(0, new_order)}
            self.set_incremental_state(incremental_state, _STATE, state)

    def max_positions(self) -> int:
        """The most tokens of a target."""
        return self._spec.positions[1]


class Int8LSTM(FairseqEncoderDecoderModel):
    """The network, for fairseq's generators and criterions; on the CPU, and not to be trained.

    Args:
        dictionaries: fairseq's, of source and target.
        make: see :class:`~fairseq_prune.exports.int8.parts.Parts`; None for what the ranges say.

    Raises ValueError where tensors are missing, left over, or have other shapes than these say.
    """

    def __init__(
        self,
        spec: Spec,
        tensors: Mapping[str, Tensor],
        dictionaries: tuple[Any, Any],
        make: Maker | None = None,
    ) -> None:
        parts, (source, target) = Parts(tensors, make or maker(spec.ranges)), dictionaries
        if spec.tied:
            softmax = (parts / "decoder").matrix("softmax", len(target), None)
            table, _ = tied_table(*softmax)
        else:
            table = (parts / "decoder").table("embed", len(target))
        read = table if spec.shared else (parts / "encoder").table("embed", len(source))
        super().__init__(
            _Encoder(spec, parts / "encoder", source, read),
            _Decoder(spec, parts / "decoder", target, table),
        )
        left = set(tensors) - parts.used
        if left:
            raise ValueError(f"it has {min(left)}, which its network does not use")
        unknown = [name for name in spec.ranges if f"{name}.weight" not in tensors]
        if unknown:
            raise ValueError(f"it has a range of {min(unknown)}, and no such matrix")
        self.eval()


def network_in(folder: Int8Folder, dictionaries: tuple[Any, Any]) -> Int8LSTM:
    """The network in an exported folder.

    Args:
        dictionaries: fairseq's, of source and target.

    Raises CheckpointError where its tensors are damaged, or not those of the network that it says.
    """
    tensors = folder.tensors()
    try:
        return Int8LSTM(folder.spec, tensors, dictionaries)
    except ValueError as error:
        raise CheckpointError(f"{folder.path}/{FILE} is damaged: {error}.") from None
