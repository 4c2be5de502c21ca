"""What a fairseq Transformer's checkpoint says of its shape, and what CTranslate2 makes of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fairseq_prune.network.options import Options, architecture, model_options, task_name

State = Mapping[str, Tensor]

STOCK = (
    "transformer",
    "transformer_align",
    "transformer_iwslt_de_en",
    "transformer_tiny",
    "transformer_vaswani_wmt_en_de_big",
    "transformer_vaswani_wmt_en_fr_big",
    "transformer_wmt_en_de",
    "transformer_wmt_en_de_big",
    "transformer_wmt_en_de_big_align",
    "transformer_wmt_en_de_big_t2t",
)
SHRUNK = "shrunk_transformer"  # heads and widths differ by layer; the size of a head is stated
TASKS = ("translation", "pruned_translation")
# option: what it is set to when fairseq does what CTranslate2 cannot
UNKNOWN_TO_CTRANSLATE2 = (
    "adaptive_input",
    "adaptive_softmax_cutoff",
    "base_layers",
    "cross_self_attention",
    "no_cross_attention",
    "encoder_xformers_att_config",
    "decoder_xformers_att_config",
)
ACTIVATIONS = ("gelu", "gelu_accurate", "gelu_fast", "relu", "tanh")


@dataclass(frozen=True)
class Stack:
    """The encoder or the decoder.

    Args:
        name: ``encoder`` or ``decoder``, which its weights' names begin with.
        layers: how many.
        heads: of every attention.
        head_dim: width of a head; heads * head_dim need not be the width of the model.
        width: of the model, as it is between the layers.
        tokens: how many its embedding table has.
        pre_norm: normalises before each block rather than after.
        scale: what embeddings are multiplied by.
        positions: how many positions there are.
        has_positions: whether embeddings are told their positions.
    """

    name: str
    layers: int
    heads: int
    head_dim: int
    width: int
    tokens: int
    pre_norm: bool
    scale: float
    positions: int
    has_positions: bool


@dataclass(frozen=True)
class Shape:
    """A Transformer, encoder and decoder.

    Args:
        activation: between a layer's two feed-forward matrices, one of ``ACTIVATIONS``.
        alignment_layer: whose cross-attention aligns; -1 is the last.
    """

    encoder: Stack
    decoder: Stack
    activation: str
    alignment_layer: int

    @property
    def positions(self) -> tuple[int, int]:
        """How many tokens a source and a target may have."""
        return self.encoder.positions, self.decoder.positions


def shape_of(checkpoint: Mapping[str, Any], origin: str) -> Shape:
    """The shape of the Transformer in a checkpoint; ``origin`` is named in errors.

    Raises ValueError for another model, and for a Transformer that CTranslate2 cannot compute.
    """
    options, arch = model_options(checkpoint), architecture(checkpoint) or "unknown"
    state: State = checkpoint["model"]
    sides = {str(name).partition(".")[0] for name in state}
    _check(options, arch, sides, task_name(checkpoint) or TASKS[0], origin)
    return Shape(
        _stack("encoder", state, options, arch, origin),
        _stack("decoder", state, options, arch, origin),
        str(options.get("activation_fn", "relu")),
        int(options.get("alignment_layer", -1)),
    )


def _check(options: Options, arch: str, sides: set[str], kind: str, origin: str) -> None:
    if "decoder" in sides and "encoder" not in sides:
        raise ValueError(
            f"{origin} ({arch}) has a decoder and no encoder, as language models have: what is "
            "written for CTranslate2 are models for translation; use it with fairseq-eval-lm."
        )
    if arch not in STOCK and arch != SHRUNK:
        other = "take --format torch-int8" if "lstm" in arch else "use it with fairseq"
        raise ValueError(
            f"{origin} is of the architecture {arch}: what is written for CTranslate2 are "
            f"fairseq's Transformers for translation; {other}."
        )
    if kind not in TASKS:
        raise ValueError(
            f"{origin} was trained with --task {kind}, which may change tokens or dictionaries; "
            "only those of --task translation can be exported."
        )
    for name in UNKNOWN_TO_CTRANSLATE2:
        if options.get(name):
            flag = "--" + name.replace("_", "-")
            raise ValueError(f"{origin} was trained with {flag}, which CTranslate2 has not.")
    activation = options.get("activation_fn", "relu")
    if activation not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise ValueError(
            f"{origin} has the activation {activation}, which CTranslate2 has not; it has {known}."
        )


def _stack(name: str, state: State, options: Options, arch: str, origin: str) -> Stack:
    pattern = re.compile(rf"{name}\.layers\.(\d+)\.fc1\.weight$")
    layers = len([key for key in state if pattern.match(key)])
    embedding = state.get(f"{name}.embed_tokens.weight")
    if layers == 0 or embedding is None:
        raise ValueError(f"{origin} has no {name} of a Transformer in it.")
    side = "source" if name == "encoder" else "target"
    heads, head_dim = _heads(name, layers, state, options, arch == SHRUNK, origin)
    tokens, width = embedding.shape
    return Stack(
        name,
        layers,
        heads,
        head_dim,
        width,
        tokens,
        bool(options.get(f"{name}_normalize_before", False)),
        1.0 if options.get("no_scale_embedding") else width**0.5,
        int(options.get(f"max_{side}_positions", 1024)),
        not options.get("no_token_positional_embeddings"),
    )


def _heads(
    name: str, layers: int, state: State, options: Options, is_ours: bool, origin: str
) -> tuple[int, int]:
    """How many heads every attention of a stack has, and their width."""
    kinds = {"self_attn": "self-attention"}
    if name == "decoder":
        kinds["encoder_attn"] = "cross-attention"
    try:
        rows = {
            kind: [state[f"{name}.layers.{k}.{kind}.q_proj.weight"].shape[0] for k in range(layers)]
            for kind in kinds
        }
    except KeyError as error:
        raise ValueError(f"{origin} has no weight {error.args[0]}: it is damaged.") from None
    if is_ours:
        head_dim = options.number(f"{name}_head_dim", options.number("head_dim")) or 0
    else:
        head_dim = rows["self_attn"][0] // (options.number(f"{name}_attention_heads") or 8)
    if head_dim < 1 or any(n % head_dim for of_kind in rows.values() for n in of_kind):
        raise ValueError(f"{origin} does not say how wide the heads of its {name} are.")
    counts = {kind: [n // head_dim for n in of_kind] for kind, of_kind in rows.items()}
    different = {n for of_kind in counts.values() for n in of_kind}
    if len(different) > 1 or 0 in different:
        found = " and ".join(
            f"{', '.join(map(str, counts[kind]))} ({kinds[kind]})" for kind in kinds
        )
        raise ValueError(
            f"The {name} of {origin} has, layer by layer, {found} heads, and CTranslate2 takes one "
            f"number, 1 or more, for all of the {name}: prune its heads with --prune-scheme "
            "class-uniform --prune-structure heads before shrink, or decode with fairseq."
        )
    return different.pop(), head_dim
