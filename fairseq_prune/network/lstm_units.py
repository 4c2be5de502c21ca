"""The units of LSTMs: cells of the layers, what attention puts out, embedding columns.

Those of fairseq's LSTM; of our ``see2016_lstm`` embedding columns only.

Units that fairseq's code ties together are one unit here:
- The state of encoder layer i is the first state of decoder layer i, cell by cell, so that both
  cells go together. Where the sides differ in width, a projection lies between them; it is one for
  all layers, and so are the cells that it reads, and those that it makes.
- A shared embedding has one width on both sides; shared with the softmax, it is the width of what
  the softmax reads.
"""

from collections.abc import Callable, Sequence

from fairseq_prune.network.units import Axis, Place, Shapes

_OUT = "decoder.attention.output_proj.weight"
_FEED = "decoder.layers.0.weight_ih"
_TABLES = {"encoder": "encoder.embed_tokens.weight", "decoder": "decoder.embed_tokens.weight"}
_GATES = 4

Same = Callable[[str, str], bool]


def is_lstm(shapes: Shapes) -> bool:
    """Whether these are the tensors of fairseq's LSTM."""
    return "encoder.lstm.weight_ih_l0" in shapes and _FEED in shapes


def lstm_axes(shapes: Shapes, same: Same) -> list[Axis]:
    """The axes of an LSTM with these tensors.

    Args:
        same: whether two names are of one tensor.

    Raises ValueError where it has an adaptive softmax.
    """
    if any(name.startswith("decoder.adaptive_softmax.") for name in shapes):
        raise ValueError(
            "units of an LSTM with an adaptive softmax are not known here: train it without "
            "--adaptive-softmax-cutoff, or prune weights."
        )
    return _Lstm(shapes, same).axes()


class _Lstm:
    """What is known of the network, and the places of each of its parts."""

    def __init__(self, shapes: Shapes, same: Same) -> None:
        self._shapes, self._same = shapes, same
        self._suffixes = (
            ["", "_reverse"] if self._has("encoder.lstm.weight_ih_l0_reverse") else [""]
        )
        self._layers = sum(
            name.startswith("decoder.layers.") and name.endswith(".weight_hh") for name in shapes
        )
        self._attends = self._has(_OUT)
        self._projects = self._has("decoder.encoder_hidden_proj.weight")
        self._embed = shapes[_TABLES["decoder"]][1]
        self._feeds = shapes[_FEED][1] > self._embed

    def _has(self, name: str) -> bool:
        return name in self._shapes

    def _cells(self, layer: int, suffix: str) -> int:
        return self._shapes[f"encoder.lstm.weight_hh_l{layer}{suffix}"][1]

    def _offset(self, layer: int, suffix: str) -> int:
        """Where a direction's cells begin in what the layer puts out."""
        return self._cells(layer, "") if suffix else 0

    def axes(self) -> list[Axis]:
        """All axes, the encoder's first."""
        hidden = self._projected() if self._projects else self._handed_over()
        return [*hidden, *([self._attention()] if self._attends else []), *self._embeddings()]

    # ------------------------------------------------------------------ cells
    def _handed_over(self) -> list[Axis]:
        axes = []
        for layer in range(self._layers):
            for suffix in self._suffixes:
                at, units = self._offset(layer, suffix), self._cells(layer, suffix)
                places = self._source(layer, suffix) + self._target(layer, at)
                direction = self._direction(suffix)
                name, label = f"layers.{layer}{direction}", f"hidden-layer-{layer + 1}{direction}"
                axes.append(Axis(name, "hidden", label, units, tuple(places)))
        return axes

    def _projected(self) -> list[Axis]:
        axes, every = [], range(self._layers)
        states = ["decoder.encoder_hidden_proj", "decoder.encoder_cell_proj"]
        number = "-1" if self._layers == 1 else "s"
        for suffix in self._suffixes:
            at = self._offset(self._layers - 1, suffix)
            places = [place for layer in every for place in self._source(layer, suffix)]
            places += [Place(f"{state}.weight", 1, True, at) for state in states]
            direction = self._direction(suffix)
            label, units = f"source-layer{number}{direction}", self._cells(0, suffix)
            axes.append(Axis(f"encoder.lstm{direction}", "hidden", label, units, tuple(places)))
        places = [place for layer in every for place in self._target(layer, 0)]
        places += [Place(f"{state}.{part}", 0) for state in states for part in ("weight", "bias")]
        units = self._shapes["decoder.layers.0.weight_hh"][1]
        axes.append(Axis("decoder.layers", "hidden", f"target-layer{number}", units, tuple(places)))
        return axes

    def _direction(self, suffix: str) -> str:
        if len(self._suffixes) == 1:
            return ""
        return ".backward" if suffix else ".forward"

    def _source(self, layer: int, suffix: str) -> list[Place]:
        """The places of one direction of an encoder layer."""
        own, at = f"_l{layer}{suffix}", self._offset(layer, suffix)
        places = self._cell("encoder.lstm.", own, self._cells(layer, suffix), 0)
        if layer + 1 < self._layers:
            names = [f"encoder.lstm.weight_ih_l{layer + 1}{other}" for other in self._suffixes]
            return places + [Place(name, 1, True, at) for name in names]
        if self._attends:  # a row of input_proj: the state is multiplied by what it makes
            places += [Place("decoder.attention.input_proj.weight", 0, True, at)]
            places += [Place(_OUT, 1, True, at)]
        return places

    def _target(self, layer: int, at: int) -> list[Place]:
        """The places of cells of a decoder layer, from its cell ``at`` on."""
        module = f"decoder.layers.{layer}."
        places = self._cell(module, "", self._shapes[f"{module}weight_hh"][1], at)
        if layer + 1 < self._layers:
            return places + [Place(f"decoder.layers.{layer + 1}.weight_ih", 1, True, at)]
        if not self._attends:
            return places + self._output_readers(at)
        source = self._shapes["decoder.attention.input_proj.weight"][0]
        places += [Place("decoder.attention.input_proj.weight", 1, True, at)]
        return places + [Place(_OUT, 1, True, source + at)]

    @staticmethod
    def _cell(module: str, suffix: str, size: int, at: int) -> list[Place]:
        names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
        rows = [
            Place(f"{module}{name}{suffix}", 0, offset=at, copies=_GATES, stride=size)
            for name in names
        ]
        return [*rows, Place(f"{module}weight_hh{suffix}", 1, True, at)]

    # ------------------------------------------------------------------ what comes out
    def _output_readers(self, at: int = 0) -> list[Place]:
        """What reads the decoder's output: the next step (input feeding) and the softmax."""
        places = [Place(_FEED, 1, True, self._embed + at)] if self._feeds else []
        if self._has("decoder.additional_fc.weight"):
            return [*places, Place("decoder.additional_fc.weight", 1, True, at)]
        return places + self._softmax(at)

    def _softmax(self, at: int = 0) -> list[Place]:
        if not self._ties():
            return [Place("decoder.fc_out.weight", 1, True, at)]
        # the columns of the table are the width of what the softmax reads, and embeddings too
        return [Place(_TABLES["decoder"], 1, True, at), *self._embedding("decoder", at)]

    def _attention(self) -> Axis:
        places = (Place(_OUT, 0), *self._output_readers())
        return Axis("decoder.attention", "hidden", "attention", self._shapes[_OUT][0], places)

    # ------------------------------------------------------------------ embeddings
    def _ties(self) -> bool:
        """Whether the softmax is the decoder's table."""
        return not self._has("decoder.fc_out.weight")

    def _embedding(self, side: str, at: int = 0) -> list[Place]:
        """A table's columns from ``at`` on and what reads them, on both sides if they share it."""
        sides = ["encoder", "decoder"] if self._same(*_TABLES.values()) else [side]
        places = []
        for one in sides:
            first = [f"encoder.lstm.weight_ih_l0{suffix}" for suffix in self._suffixes]
            readers = first if one == "encoder" else [_FEED]
            places += [Place(_TABLES[one], 1, offset=at)]
            places += [Place(name, 1, True, at) for name in readers]
        return places

    def _embeddings(self) -> list[Axis]:
        shared, extra = self._same(*_TABLES.values()), self._has("decoder.additional_fc.weight")
        makes = [Place(f"decoder.additional_fc.{part}", 0) for part in ("weight", "bias")]
        label = "shared-embedding" if shared else "target-embedding"
        axes = []
        if not shared:
            axes.append(self._table("encoder", "source-embedding", self._embedding("encoder")))
        if not self._ties():
            axes.append(self._table("decoder", label, self._embedding("decoder")))
            if extra:
                units = self._shapes["decoder.additional_fc.weight"][0]
                places = (*makes, *self._softmax())
                axes.append(Axis("decoder.additional_fc", "embedding", "softmax", units, places))
        elif extra:
            axes.append(self._table("decoder", label, [*makes, *self._softmax()]))
        return axes

    def _table(self, side: str, label: str, places: list[Place]) -> Axis:
        units = self._shapes[_TABLES[side]][1]
        return Axis(f"{side}.embed_tokens", "embedding", label, units, tuple(places))


def is_see2016(shapes: Shapes) -> bool:
    """Whether these are the tensors of a ``see2016_lstm``."""
    return all(f"{side}.lstm.weight_ih_l0" in shapes for side in _TABLES)


def see2016_axes(shapes: Shapes) -> list[Axis]:
    """The axes of its two tables, in ``shapes``.

    Its cells are none. Attention multiplies the last layers' states by each other, with no matrix
    in between: a cell whose rows are all zero still has the value that its biases give it, and
    counts in the score. And all layers have one width.
    """
    axes = []
    for side, table in _TABLES.items():
        label = "source-embedding" if side == "encoder" else "target-embedding"
        reader = f"{side}.lstm.weight_ih_l0"
        places = (Place(table, 1), Place(reader, 1, True))
        axes.append(Axis(f"{side}.embed_tokens", "embedding", label, shapes[table][1], places))
    return axes


def check_kinds(kinds: Sequence[str]) -> None:
    """Raises ValueError where cells are asked for."""
    if "hidden" in kinds:
        raise ValueError(
            "--prune-structure hidden cannot cut the cells of see2016_lstm, whose attention "
            "multiplies states by states without a matrix between; use embedding, or weight."
        )
