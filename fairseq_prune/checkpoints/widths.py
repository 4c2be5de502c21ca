"""How wide a shrunk network can be: what stock fairseq's settings can say, and what only ours can.

fairseq has one width for the feed-forward layers of a side and one for its cells, and as many
heads as fill the width of the embedding. What differs goes into :mod:`fairseq_prune.models`. How
many layers a side has it can say.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fairseq_prune.network.lstm_units import is_lstm, is_see2016
from fairseq_prune.network.units import Axis, Shapes

Counts = Mapping[str, int]
STOCK = {  # fairseq's, by ours
    "shrunk_lstm": "lstm",
    "shrunk_transformer": "transformer",
    "shrunk_transformer_align": "transformer_align",
    "shrunk_transformer_lm": "transformer_lm",
    "shrunk_bart": "bart_large",
}
_SIDES = ("encoder", "decoder")
# where fairseq's models whose settings are called alike have the layers of a side
_LAYERS = r"(models\.[^.]+\.)?{side}\.(sentence_encoder\.)?(transformer_)?layers\.\d+"
_LAYER = {side: _LAYERS.format(side=side) for side in _SIDES}
_ATTENTIONS = {
    "encoder_heads": rf"{_LAYER['encoder']}\.self_attn",
    "decoder_heads": rf"{_LAYER['decoder']}\.self_attn",
    "decoder_cross_heads": rf"{_LAYER['decoder']}\.encoder_attn",
}
_OUT = "decoder.attention.output_proj.weight"
_EXTRA = "decoder.additional_fc.weight"
_PROJECTION = "decoder.encoder_hidden_proj.weight"


@dataclass(frozen=True)
class ModelSettings:
    """What a model's configuration has to say of its widths.

    Args:
        arch: of :mod:`fairseq_prune.models`, or None where stock fairseq will do.
        values: by the names of fairseq's settings, or of ours.
    """

    arch: str | None
    values: Mapping[str, Any]


# ------------------------------------------------------------------ how many to keep
def paired(axes: Sequence[Axis], counts: Counts) -> dict[str, int]:
    """Counts with both directions of an LSTM's layer alike, as a layer is one module."""
    stems = {axis.name: re.sub(r"\.(forward|backward)$", "", axis.name) for axis in axes}
    most: dict[str, int] = {}
    for name, stem in stems.items():
        most[stem] = max(counts[name], most.get(stem, 0))
    return {name: most[stem] for name, stem in stems.items()}


def even(axes: Sequence[Axis], counts: Counts, shapes: Shapes) -> dict[str, int]:
    """The least counts, none below ``counts``, that stock fairseq can say.

    Args:
        shapes: of the network's tensors, before anything is cut.
    """
    if is_lstm(shapes):
        return _even_lstm(axes, counts, shapes)
    target = dict(counts)
    for side in _SIDES:
        group = [a for a in axes if a.kind == "ffn" and re.match(_LAYER[side], a.name)]
        target |= {a.name: max(counts[b.name] for b in group) for a in group}
    return target | {axis.name: axis.units for axis in axes if axis.kind == "heads"}


def _even_lstm(axes: Sequence[Axis], counts: Counts, shapes: Shapes) -> dict[str, int]:
    projects, known = _PROJECTION in shapes, {axis.name: axis for axis in axes}
    hidden = [a for a in axes if a.kind == "hidden" and a.name != "decoder.attention"]
    source = [a for a in hidden if a.name != "decoder.layers"]
    target = [known[n] for n in ("decoder.layers", "decoder.attention") if n in known]
    directions = 2 if any(a.name.endswith(".backward") for a in source) else 1
    least = max(counts[a.name] for a in source)
    wide = max((counts[a.name] for a in target), default=0)
    whole = shapes["decoder.layers.0.weight_hh"][1]
    out = counts.get("decoder.additional_fc", counts.get("decoder.embed_tokens", 0))
    for one, two in itertools.product(range(least, source[0].units + 1), range(wide, whole + 1)):
        # fairseq has a projection where widths differ, and only there
        projected = (directions * one != two) == projects
        if projected and (_EXTRA not in shapes or two != out):
            sizes = {a.name: one for a in source} | {a.name: two for a in target}
            return {**counts, **sizes}
    raise AssertionError("the widths it had are among them")


def is_said(axis: Axis) -> bool:
    """Whether a setting that is known here says how many units there are on an axis."""
    return axis.kind != "ffn" or any(re.match(layer, axis.name) for layer in _LAYER.values())


# ------------------------------------------------------------------ what to call it
def settings_of(
    shapes: Shapes, head_dims: Mapping[str, int], layers: Mapping[str, Sequence[int]]
) -> ModelSettings:
    """The settings of a network with these tensors.

    Args:
        head_dims: the size of a head by side, ``encoder`` or ``decoder``, where it has heads.
        layers: by side, the layers that are left, where some are not.

    Raises ValueError where these are not known and widths differ.
    """
    if is_see2016(shapes):
        tables = {side: shapes[f"{side}.embed_tokens.weight"] for side in _SIDES}
        return ModelSettings(
            None, {f"{side}_embed_dim": table[1] for side, table in tables.items()}
        )
    if is_lstm(shapes):
        return _lstm(shapes)
    found = _transformer(shapes, head_dims)
    depths = {f"{side}_layers": len(numbers) for side, numbers in layers.items()}
    return replace(found, values={**found.values, **depths})


def _transformer(shapes: Shapes, head_dims: Mapping[str, int]) -> ModelSettings:
    widths = {side: _sizes(shapes, rf"{_LAYER[side]}\.fc1\.weight$") for side in _SIDES}
    own, full = (
        {n: _sizes(shapes, rf"{module}\.{part}_proj\.weight$") for n, module in _ATTENTIONS.items()}
        for part in ("q", "out")
    )
    if own == full and all(len(set(sizes)) <= 1 for sizes in widths.values()):
        return ModelSettings(None, {f"{s}_ffn_embed_dim": w[0] for s, w in widths.items() if w})
    values: dict[str, Any] = {f"{s}_ffn_widths": _joined(w) for s, w in widths.items() if w}
    for name, sizes in own.items():
        side = name.partition("_")[0]
        if sizes and side not in head_dims:
            raise ValueError(f"The checkpoint does not say how many heads its {side} has.")
        if sizes:
            values[name] = _joined(size // head_dims[side] for size in sizes)
    one = head_dims.get("encoder", head_dims.get("decoder"))  # lightconv's encoder has none
    two = head_dims.get("decoder", one)
    other = {"decoder_head_dim": two} if one != two else {}
    return ModelSettings("shrunk_transformer", {**values, "head_dim": one, **other})


def _lstm(shapes: Shapes) -> ModelSettings:
    source = _sizes(shapes, r"encoder\.lstm\.weight_hh_l\d+$", 1)
    target = _sizes(shapes, r"decoder\.layers\.\d+\.weight_hh$", 1)
    directions = 2 if "encoder.lstm.weight_hh_l0_reverse" in shapes else 1
    attention = shapes[_OUT][0] if _OUT in shapes else target[-1]
    out = shapes[_EXTRA][0] if _EXTRA in shapes else attention
    values: dict[str, Any] = {
        "encoder_embed_dim": shapes["encoder.embed_tokens.weight"][1],
        "decoder_embed_dim": shapes["decoder.embed_tokens.weight"][1],
        "decoder_out_embed_dim": out,
    }
    alike = len({*source}) == 1 and len({*target, attention}) == 1
    projected = (directions * source[-1] != target[0]) == (_PROJECTION in shapes)
    if alike and projected and (attention != out) == (_EXTRA in shapes):
        sizes = {"encoder_hidden_size": source[0], "decoder_hidden_size": target[0]}
        return ModelSettings(None, {**values, **sizes})
    values |= {"encoder_hidden_sizes": _joined(source), "decoder_hidden_sizes": _joined(target)}
    values |= {"decoder_attention_dim": attention, "encoder_hidden_proj": _PROJECTION in shapes}
    return ModelSettings("shrunk_lstm", {**values, "decoder_additional_fc": _EXTRA in shapes})


def _sizes(shapes: Shapes, pattern: str, dim: int = 0) -> list[int]:
    """One size a layer, in the order of their numbers."""
    found = {}
    for name, shape in shapes.items():
        if re.match(pattern, name):
            where, _, rest = name.rpartition("layers.")
            found[where, int(re.findall(r"\d+", rest)[0])] = shape[dim]
    return [size for _, size in sorted(found.items())]


def _joined(sizes: Any) -> str:
    return ",".join(map(str, sizes))
