"""A fairseq Transformer as CTranslate2's own description of one, filled with its weights."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from ctranslate2.converters.converter import Converter
from ctranslate2.converters.utils import fuse_linear
from ctranslate2.specs.common_spec import Activation, LinearSpec
from ctranslate2.specs.transformer_spec import (
    TransformerDecoderSpec,
    TransformerEncoderSpec,
    TransformerSpec,
)
from numpy.typing import NDArray
from torch import Tensor

from fairseq_prune.exports.transformer import Shape, Stack
from fairseq_prune.network.weights import FAIRSEQ_PAD, SHADOW

_ACTIVATIONS = {
    "gelu": Activation.GELU,
    "gelu_accurate": Activation.GELUTanh,
    "gelu_fast": Activation.GELUTanh,
    "relu": Activation.RELU,
    "tanh": Activation.Tanh,
}
_EPSILON = 1e-5  # of every layer norm in fairseq


class _Part:
    """The weights whose names begin alike; those that were asked for are noted in ``used``."""

    def __init__(self, state: Mapping[str, Tensor], prefix: str, used: set[str]) -> None:
        self._state, self._prefix, self._used = state, prefix, used

    def __truediv__(self, name: str) -> "_Part":
        return _Part(self._state, f"{self._prefix}{name}.", self._used)

    def __contains__(self, name: str) -> bool:
        return self._prefix + name in self._state

    def __getitem__(self, name: str) -> NDArray[Any]:
        full = self._prefix + name
        if full not in self._state:
            raise ValueError(f"The checkpoint has no weight {full}: it is not of fairseq 0.12.2.")
        self._used.add(full)
        return self._state[full].detach().float().numpy()


class FilledConverter(Converter):
    """CTranslate2's converter of a model that is in memory.

    Args:
        state: the ``model`` entry of the checkpoint.
        vocabularies: the tokens of source and target.
        made: what made it, for the exported ``config.json``.
    """

    def __init__(
        self,
        shape: Shape,
        state: Mapping[str, Tensor],
        vocabularies: tuple[list[str], list[str]],
        made: Mapping[str, Any],
    ) -> None:
        self._shape, self._state = shape, state
        self._vocabularies, self._made = vocabularies, made

    def _load(self) -> TransformerSpec:
        used: set[str] = set()
        weights = _Part(self._state, "", used)
        spec = TransformerSpec(_encoder(self._shape, weights), _decoder(self._shape, weights))
        _check_all_used(self._state, used)
        source, target = self._vocabularies
        spec.register_source_vocabulary(source)
        spec.register_target_vocabulary(target)
        # fairseq ends the source with </s> and begins the target with it
        spec.config.add_source_eos = True
        spec.config.decoder_start_token = spec.config.eos_token
        spec.config.layer_norm_epsilon = _EPSILON
        # fairseq's search never takes <pad>, CTranslate2's could. A bias against it would take its
        # share from the softmax too: other scores than fairseq's, and other choices where two
        # translations are close (2 of 320 in tests/exports). A trained model does not choose it.
        spec.config.add_attribute("fairseq_prune", dict(self._made))
        return spec


def _check_all_used(state: Mapping[str, Tensor], used: set[str]) -> None:
    """What is left over would be missing from the computation: quantisation noise, say."""
    for name, value in state.items():
        if name not in used and value.dim() > 0 and not SHADOW.search(name):
            if not name.endswith((".version", "._float_tensor")):
                raise ValueError(f"CTranslate2 has no place for the checkpoint's weight {name}.")


def _encoder(shape: Shape, everything: _Part) -> TransformerEncoderSpec:
    stack, weights = shape.encoder, everything / "encoder"
    spec = TransformerEncoderSpec(
        stack.layers,
        stack.heads,
        pre_norm=stack.pre_norm,
        no_final_norm="layer_norm.weight" not in weights,
        activation=_ACTIVATIONS[shape.activation],
        layernorm_embedding="layernorm_embedding.weight" in weights,
        head_dim=stack.head_dim,
    )
    _set_ends(spec, weights, stack)
    spec.embeddings[0].weight = weights["embed_tokens.weight"]
    for number, layer in enumerate(spec.layer):
        _set_layer(layer, weights / f"layers.{number}")
    return spec


def _decoder(shape: Shape, everything: _Part) -> TransformerDecoderSpec:
    stack, weights = shape.decoder, everything / "decoder"
    spec = TransformerDecoderSpec(
        stack.layers,
        stack.heads,
        pre_norm=stack.pre_norm,
        no_final_norm="layer_norm.weight" not in weights,
        activation=_ACTIVATIONS[shape.activation],
        layernorm_embedding="layernorm_embedding.weight" in weights,
        project_in_out="project_out_dim.weight" in weights,
        alignment_layer=shape.alignment_layer,
        alignment_heads=0,  # the mean over heads, as in fairseq
        head_dim=stack.head_dim,
    )
    _set_ends(spec, weights, stack)
    spec.embeddings.weight = weights["embed_tokens.weight"]
    spec.projection.weight = weights["output_projection.weight"]
    if "project_out_dim.weight" in weights:
        spec.project_out.weight = weights["project_out_dim.weight"]
        del spec.project_in  # fairseq has it at the other end only, CTranslate2 takes either
    for number, layer in enumerate(spec.layer):
        _set_layer(layer, weights / f"layers.{number}")
        cross = weights / f"layers.{number}" / "encoder_attn"
        _set_norm(layer.attention.layer_norm, weights / f"layers.{number}.encoder_attn_layer_norm")
        _set_linear(layer.attention.linear[0], cross / "q_proj")
        fuse_linear(layer.attention.linear[1], [_linear(cross / f"{one}_proj") for one in "kv"])
        _set_linear(layer.attention.linear[2], cross / "out_proj")
    return spec


def _set_ends(spec: Any, weights: _Part, stack: Stack) -> None:
    spec.scale_embeddings = stack.scale
    spec.position_encodings.encodings = _positions(weights, stack)
    for name in ("layer_norm", "layernorm_embedding"):
        if f"{name}.weight" in weights:
            _set_norm(getattr(spec, name), weights / name)


def _set_layer(layer: Any, weights: _Part) -> None:
    attention = weights / "self_attn"
    _set_norm(layer.self_attention.layer_norm, weights / "self_attn_layer_norm")
    fuse_linear(layer.self_attention.linear[0], [_linear(attention / f"{x}_proj") for x in "qkv"])
    _set_linear(layer.self_attention.linear[1], attention / "out_proj")
    _set_norm(layer.ffn.layer_norm, weights / "final_layer_norm")
    _set_linear(layer.ffn.linear_0, weights / "fc1")
    _set_linear(layer.ffn.linear_1, weights / "fc2")


def _set_norm(spec: Any, weights: _Part) -> None:
    spec.gamma, spec.beta = weights["weight"], weights["bias"]


def _set_linear(spec: LinearSpec, weights: _Part) -> None:
    spec.weight, spec.bias = weights["weight"], weights["bias"]


def _linear(weights: _Part) -> LinearSpec:
    spec = LinearSpec()
    _set_linear(spec, weights)
    return spec


def _positions(weights: _Part, stack: Stack) -> NDArray[Any]:
    """What is added at each position, (positions, width); fairseq numbers them from pad + 1."""
    if not stack.has_positions:
        return np.zeros((stack.positions, stack.width), np.float32)
    if "embed_positions.weight" in weights:
        return weights["embed_positions.weight"][FAIRSEQ_PAD + 1 :]
    return sinusoids(stack.positions, stack.width)


def sinusoids(positions: int, width: int) -> NDArray[Any]:
    """fairseq's sinusoidal positions from the first that is used, (positions, width).

    As in tensor2tensor: sines in the first half, cosines in the second, an odd last column zero.
    """
    half = width // 2
    slowest = math.log(10000) / max(half - 1, 1)
    numbers = np.arange(FAIRSEQ_PAD + 1, FAIRSEQ_PAD + 1 + positions, dtype=np.float32)
    angles = numbers[:, None] * np.exp(np.arange(half, dtype=np.float32) * -slowest)[None]
    table = np.zeros((positions, width), np.float32)
    table[:, :half], table[:, half : 2 * half] = np.sin(angles), np.cos(angles)
    return table
