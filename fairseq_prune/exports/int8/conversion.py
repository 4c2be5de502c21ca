"""fairseq's LSTMs as networks in integers: the shape and tensors of what a checkpoint holds."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from fairseq_prune.exports.int8.linear import quantised
from fairseq_prune.exports.int8.parts import Spec, table_of, tied_table
from fairseq_prune.network.options import Options, architecture, model_options, task_name

KNOWN = ("lstm", "lstm_wiseman_iwslt_de_en", "lstm_luong_wmt_en_de", "shrunk_lstm",
         "see2016_lstm", "see2016_lstm_iwslt")  # fmt: skip
TASKS = ("translation", "pruned_translation")
_SIDES = ("source", "target")
_LONGEST = 100_000  # tokens, for a model without limits


def network_of(content: Mapping[str, Any], origin: str) -> tuple[Spec, dict[str, Tensor]]:
    """The LSTM in a checkpoint as :class:`~fairseq_prune.exports.int8.network.Int8LSTM` takes it.

    Args:
        origin: is named in errors.

    Raises ValueError for another model, and for an LSTM with parts that are not known here.
    """
    arch, kind = architecture(content) or "unknown", task_name(content) or TASKS[0]
    if arch not in KNOWN:
        raise ValueError(
            f"{origin} is of the architecture {arch}: --format torch-int8 is for LSTMs "
            "(lstm, see2016_lstm, shrunk_lstm); a Transformer goes to --format ctranslate2."
        )
    if kind not in TASKS:
        raise ValueError(
            f"{origin} was trained with --task {kind}, which may change tokens or dictionaries; "
            "only those of --task translation can be exported."
        )
    state = {str(n): t.detach().float() for n, t in content["model"].items() if _is_weight(n, t)}
    return _Reader(state, origin).read(model_options(content), arch.startswith("see2016"))


def _is_weight(name: Any, value: Any) -> bool:
    return isinstance(value, Tensor) and value.dim() > 0 and not str(name).endswith(".version")


class _Reader:
    """Takes a checkpoint's tensors and makes those of a network."""

    def __init__(self, state: Mapping[str, Tensor], origin: str) -> None:
        self._state, self._origin = state, origin
        self._used: set[str] = set()
        self._made: dict[str, Tensor] = {}

    def read(self, options: Options, is_see2016: bool) -> tuple[Spec, dict[str, Tensor]]:
        """The shape and the tensors."""
        has_fc = self._put("decoder.fc", "decoder.additional_fc")
        has_softmax = self._put("decoder.softmax", "decoder.fc_out")
        source, target, is_shared = self._tables(has_softmax)
        directions = 2 if "encoder.lstm.weight_ih_l0_reverse" in self._state else 1
        encoder = self._encoder(source, directions)
        decoder = self._decoder(target, is_see2016)
        projects = self._put("encoder.begin.hidden", "decoder.encoder_hidden_proj")
        self._put("encoder.begin.cell", "decoder.encoder_cell_proj")
        has_query = self._put("decoder.attention.input", "decoder.attention.input_proj")
        attends = self._put("decoder.attention.output", "decoder.attention.output_proj")
        self._check_all_used()
        mixed = len(self._made["decoder.attention.output.weight"]) if attends else decoder[-1]
        limits = [options.number(f"max_{side}_positions", _LONGEST) for side in _SIDES]
        return Spec(
            encoder=encoder, directions=directions, decoder=decoder, projects=projects,
            reversed=bool(options.get("reverse_source", False)),
            feeds=0 if is_see2016 else mixed, has_fc=has_fc,
            attention="none" if not attends else "learned" if has_query else "dot",
            tied=not has_softmax, shared=is_shared,
            positions=(limits[0] or _LONGEST, limits[1] or _LONGEST),
        ), self._made  # fmt: skip

    def _take(self, name: str) -> Tensor:
        if name not in self._state:
            raise ValueError(f"{self._origin} has no weight {name}: it is not of fairseq 0.12.2.")
        self._used.add(name)
        return self._state[name]

    def _add(self, name: str, weight: Tensor, bias: Tensor | None) -> None:
        self._made[f"{name}.weight"], self._made[f"{name}.scale"] = quantised(weight)
        if bias is not None:
            self._made[f"{name}.bias"] = bias.clone()

    def _put(self, name: str, old: str) -> bool:
        """Add a linear layer if the checkpoint has it; whether it does."""
        if f"{old}.weight" not in self._state:
            return False
        bias = self._take(f"{old}.bias") if f"{old}.bias" in self._state else None
        self._add(name, self._take(f"{old}.weight"), bias)
        return True

    def _tables(self, has_softmax: bool) -> tuple[float, float, bool]:
        """Add the embeddings: by what those of source and target are divided, and whether they are
        one table."""
        read, write = (self._take(f"{side}.embed_tokens.weight") for side in ("encoder", "decoder"))
        if has_softmax:
            self._made["decoder.embed"], target = table_of(write)
        else:
            self._add("decoder.softmax", write, None)
            softmax = [self._made[f"decoder.softmax.{part}"] for part in ("weight", "scale")]
            _, target = tied_table(*softmax)
        if torch.equal(read, write):
            return target, target, True
        self._made["encoder.embed"], source = table_of(read)
        return source, target, False

    def _encoder(self, bound: float, directions: int) -> tuple[int, ...]:
        """Add the encoder's layers; how many cells each has.

        Args:
            bound: by what the embeddings are divided.
        """
        sizes: list[int] = []
        while f"encoder.lstm.weight_ih_l{len(sizes)}" in self._state:
            number = len(sizes)
            for name, suffix in (("forward", ""), ("backward", "_reverse"))[:directions]:
                read, keep, bias = self._layer("encoder.lstm.", f"_l{number}{suffix}")
                read = read if number else read * bound
                both = torch.cat((read, keep), dim=1)
                self._add(f"encoder.layers.{number}.{name}", both, bias)
            sizes.append(keep.shape[1])
        return tuple(sizes)

    def _decoder(self, bound: float, is_one: bool) -> tuple[int, ...]:
        """Add the decoder's layers; how many cells each has.

        Args:
            is_one: whether they are one module, and not a cell each.
        """
        sizes: list[int] = []
        width = self._state["decoder.embed_tokens.weight"].shape[1]
        while True:
            number = len(sizes)
            before = "decoder.lstm." if is_one else f"decoder.layers.{number}."
            after = f"_l{number}" if is_one else ""
            if f"{before}weight_ih{after}" not in self._state:
                return tuple(sizes)
            read, keep, bias = self._layer(before, after)
            if number == 0:  # its input begins with the embedding
                read = torch.cat((read[:, :width] * bound, read[:, width:]), dim=1)
            self._add(f"decoder.layers.{number}", torch.cat((read, keep), dim=1), bias)
            sizes.append(keep.shape[1])

    def _layer(self, before: str, after: str) -> tuple[Tensor, Tensor, Tensor]:
        """W_ih, W_hh and the sum of the biases, with gates in the order i, f, o, 2 g."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        read, keep, *biases = (_ordered(self._take(f"{before}{n}{after}")) for n in names)
        return read, keep, biases[0] + biases[1]

    def _check_all_used(self) -> None:
        left = set(self._state) - self._used
        if left:
            raise ValueError(
                f"{self._origin} has {min(left)}, for which --format torch-int8 has no place; "
                "decode the checkpoint itself."
            )


def _ordered(rows: Tensor) -> Tensor:
    """Gates i, f, g, o as i, f, o, 2 g, so that one call makes the sigmoids of all."""
    i, f, g, o = rows.chunk(4)
    return torch.cat((i, f, o, 2 * g))
