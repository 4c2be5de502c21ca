"""Stock fairseq's Transformer and LSTM for translation: which tensors they have, by their settings.

A file that holds just these, in their order, is as fairseq writes it today: loading it renames and
takes apart nothing, no matrix is frozen, and the settings say which names are one tensor. So its
model need not be built to know what is in it, which takes fairseq, and that takes a second to
import. Whatever is not plainly so is not decided here.
"""

from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from fairseq_prune.network.options import Options, architecture, model_options, stock_task
from fairseq_prune.network.ties import ties_by_settings
from fairseq_prune.network.weights import SHADOW, Ties

_VERSION = 3.0  # of an encoder and a decoder since 2018
_BUFFERS = ("version", "_float_tensor")
_TABLE = "{}.embed_tokens.weight"
TRANSFORMERS = (
    *("transformer", "transformer_tiny", "transformer_iwslt_de_en", "transformer_wmt_en_de"),
    *("transformer_vaswani_wmt_en_de_big", "transformer_vaswani_wmt_en_fr_big"),
    *("transformer_wmt_en_de_big", "transformer_wmt_en_de_big_t2t"),
)
LSTMS = ("lstm", "lstm_wiseman_iwslt_de_en", "lstm_luong_wmt_en_de")
# settings that add, take away, wrap or freeze something
_UNUSUAL = (
    *("adaptive_input", "base_layers", "checkpoint_activations", "cross_self_attention"),
    *("decoder_freeze_embed", "decoder_layers_to_keep", "decoder_learned_pos"),
    *("decoder_xformers_att_config", "encoder_freeze_embed", "encoder_layers_to_keep"),
    *("encoder_learned_pos", "encoder_xformers_att_config", "layernorm_embedding"),
    *("no_cross_attention", "no_decoder_final_norm", "no_token_positional_embeddings"),
    *("offload_activations", "quant_noise_pq", "quant_noise_scalar", "scale_attn", "scale_fc"),
    *("scale_heads", "scale_resids", "tie_adaptive_weights"),
)
_ACTIVATIONS = ("relu", "gelu", "gelu_fast", "gelu_accurate", "tanh", "linear")

Shapes = Iterator[tuple[str, tuple[int, ...]]]


class _Other(Exception):
    """It is not plainly one of these models."""


def stock_ties(content: Mapping[str, Any]) -> Ties | None:
    """The names of each tensor that has several; None where only the model's class can say.

    Args:
        content: all of a checkpoint file.
    """
    try:
        shapes = dict(_shapes(content))
    except (_Other, ValueError):
        return None
    state, extra = content["model"], content.get("extra_state")
    averages = [extra.get(key) for key in ("ema", "ema_fp32_params")] if extra else []
    if not _is_whole(state, shapes) or not all(
        _lacks_buffers_only(average, shapes) for average in averages if average
    ):
        return None
    ties = ties_by_settings(model_options(content))
    found = [tuple(name for name in every if name in shapes) for every in ties]
    return [every for every in found if len(every) > 1]


def _is_whole(state: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether the tensors are those, in this order; buffers and shadow copies may be missing."""
    if any(not _fits(value, shapes.get(name)) for name, value in state.items()):
        return False
    versions = [name for name in shapes if name.endswith(".version")]
    if any(name not in state or float(state[name]) != _VERSION for name in versions):
        return False
    return _needed(state) == _needed(shapes)


def _lacks_buffers_only(state: Any, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    if not isinstance(state, Mapping):
        return False
    fits = all(_fits(value, shapes.get(name)) for name, value in state.items())
    return fits and set(_needed(state)) == set(_needed(shapes))


def _fits(value: Any, shape: tuple[int, ...] | None) -> bool:
    return isinstance(value, Tensor) and tuple(value.shape) == shape


def _needed(names: Mapping[str, Any]) -> list[str]:
    return [name for name in names if not name.endswith(_BUFFERS) and not SHADOW.search(name)]


def _shapes(content: Mapping[str, Any]) -> Shapes:
    """Names and shapes of the model that the settings describe, dictionaries as in the file."""
    options, state = model_options(content), content["model"]
    if isinstance(content.get("args"), Namespace) or stock_task(content) != "translation":
        raise _Other
    if options.nests("encoder") or options.nests("decoder"):
        raise _Other
    if any(options.get(name) for name in _UNUSUAL):
        raise _Other
    tables = [state.get(_TABLE.format(side)) for side in ("encoder", "decoder")]
    if not all(isinstance(table, Tensor) and table.dim() == 2 for table in tables):
        raise _Other
    for side in ("encoder", "decoder"):
        if not 0 < _number(options, f"{side}_layers") <= len(state):
            raise _Other
    source, target = (len(table) for table in tables)
    if options.get("share_all_embeddings") and (
        source != target
        or _number(options, "encoder_embed_dim") != _number(options, "decoder_embed_dim")
    ):
        raise _Other
    if architecture(content) in TRANSFORMERS:
        return _transformer(options, source, target)
    if architecture(content) in LSTMS:
        return _lstm(options, source, target)
    raise _Other


def _number(options: Options, name: str) -> int:
    found = options.number(name)
    if found is None:
        raise _Other
    return found


def _is_shared(options: Options) -> bool:
    """Whether the softmax is the decoder's table."""
    names = ("share_all_embeddings", "share_decoder_input_output_embed")
    return any(bool(options.get(name)) for name in names)


def _linear(name: str, out: int, into: int, bias: bool = True) -> Shapes:
    yield f"{name}.weight", (out, into)
    if bias:
        yield f"{name}.bias", (out,)


def _norm(name: str, width: int) -> Shapes:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def _attention(name: str, width: int, keys: int) -> Shapes:
    yield from _linear(f"{name}.k_proj", width, keys)
    yield from _linear(f"{name}.v_proj", width, keys)
    yield from _linear(f"{name}.q_proj", width, width)
    yield from _linear(f"{name}.out_proj", width, width)


def _feed_forward(name: str, width: int, inner: int) -> Shapes:
    yield from _linear(f"{name}.fc1", inner, width)
    yield from _linear(f"{name}.fc2", width, inner)
    yield from _norm(f"{name}.final_layer_norm", width)


def _shadows(name: str, width: int, inner: int) -> Shapes:
    for part, out, into in (
        ("in_proj", 3 * width, width),
        ("out_proj", width, width),
        ("fc1", inner, width),
        ("fc2", width, inner),
    ):
        yield f"{name}.{part}_weight", (out, into)
        yield f"{name}.{part}_bias", (out,)


def _transformer(options: Options, source: int, target: int) -> Shapes:
    if options.get("adaptive_softmax_cutoff") or options.get("activation_fn") not in _ACTIVATIONS:
        raise _Other
    widths = {side: _number(options, f"{side}_embed_dim") for side in ("encoder", "decoder")}
    for side, width in widths.items():
        if width % _number(options, f"{side}_attention_heads"):
            raise _Other
    if options.get("decoder_output_dim") != widths["decoder"]:
        raise _Other
    for side, width in widths.items():
        inner = _number(options, f"{side}_ffn_embed_dim")
        yield f"{side}.version", (1,)
        yield _TABLE.format(side), (source if side == "encoder" else target, width)
        yield f"{side}.embed_positions._float_tensor", (1,)
        for number in range(_number(options, f"{side}_layers")):
            layer = f"{side}.layers.{number}"
            if side == "encoder":
                yield from _shadows(layer, width, inner)
            yield from _attention(f"{layer}.self_attn", width, width)
            yield from _norm(f"{layer}.self_attn_layer_norm", width)
            if side == "decoder":
                yield from _attention(f"{layer}.encoder_attn", width, widths["encoder"])
                yield from _norm(f"{layer}.encoder_attn_layer_norm", width)
            yield from _feed_forward(layer, width, inner)
        if options.get(f"{side}_normalize_before"):
            yield from _norm(f"{side}.layer_norm", width)
    yield "decoder.output_projection.weight", (target, widths["decoder"])


def _cell(name: str, inputs: int, hidden: int, end: str = "") -> Shapes:
    yield f"{name}.weight_ih{end}", (4 * hidden, inputs)
    yield f"{name}.weight_hh{end}", (4 * hidden, hidden)
    yield f"{name}.bias_ih{end}", (4 * hidden,)
    yield f"{name}.bias_hh{end}", (4 * hidden,)


def _lstm(options: Options, source: int, target: int) -> Shapes:
    width, hidden = (_number(options, f"decoder_{what}") for what in ("embed_dim", "hidden_size"))
    out, shared = _number(options, "decoder_out_embed_dim"), _is_shared(options)
    attends = {"1": True, "True": True, "0": False, "False": False}
    attention, loss = str(options.get("decoder_attention")), options.get("criterion")
    if attention not in attends or loss in (None, "adaptive_loss") or (shared and width != out):
        raise _Other
    yield from _lstm_encoder(options, source)
    units = _number(options, "encoder_hidden_size") * len(_ends(options))
    yield _TABLE.format("decoder"), (target, width)
    if units != hidden:
        yield from _linear("decoder.encoder_hidden_proj", hidden, units)
        yield from _linear("decoder.encoder_cell_proj", hidden, units)
    for number in range(_number(options, "decoder_layers")):
        inputs = hidden if number else hidden + width
        yield from _cell(f"decoder.layers.{number}", inputs, hidden)
    if attends[attention]:
        yield from _linear("decoder.attention.input_proj", units, hidden, bias=False)
        yield from _linear("decoder.attention.output_proj", hidden, hidden + units, bias=False)
    if hidden != out:
        yield from _linear("decoder.additional_fc", out, hidden)
    if not shared:
        yield from _linear("decoder.fc_out", target, out)


def _lstm_encoder(options: Options, source: int) -> Shapes:
    width, hidden = (_number(options, f"encoder_{what}") for what in ("embed_dim", "hidden_size"))
    ends = _ends(options)
    yield _TABLE.format("encoder"), (source, width)
    for number in range(_number(options, "encoder_layers")):
        for end in ends:
            inputs = hidden * len(ends) if number else width
            yield from _cell("encoder.lstm", inputs, hidden, f"_l{number}{end}")


def _ends(options: Options) -> tuple[str, ...]:
    """What the names of the encoder's cells end in, by direction."""
    return ("", "_reverse") if options.get("encoder_bidirectional") else ("",)
