"""The units of Transformers: neurons of feed-forward layers, attention heads, and whole layers.

The width of the embedding is none of them: layer normalisation and sinusoidal positions depend on
all of it, so that no column can be cut out with the rest unchanged.
"""

import re
from collections.abc import Mapping

from fairseq_prune.network.classes import paper_class
from fairseq_prune.network.layers import layer_of, place_of
from fairseq_prune.network.units import Axis, Place, Shapes
from fairseq_prune.network.weights import SHADOW

_FC1 = re.compile(r"(?P<layer>.*layers\.\d+)\.fc1\.weight$")
_QUERY = re.compile(
    r"(?P<attention>.*layers\.\d+\.(self_attn|encoder_attn)(\.bert_attn)?)\.q_proj\.weight$"
)

# what every layer here has; and the matrices whose products are added to what came in
_PARTS = ("self_attn.q_proj.weight", "fc1.weight", "fc2.weight")
_FUSED = re.compile(r"\.bert_attn\.").search  # of models that fairseq opens with all layers only
_WRITES = (".self_attn.out_proj.weight", ".encoder_attn.out_proj.weight", ".fc2.weight")


def transformer_axes(shapes: Shapes, heads: Mapping[str, int]) -> list[Axis]:
    """The axes of every feed-forward layer, attention and stack of layers in ``shapes``.

    Args:
        heads: how many heads an attention module has, by its name; one that is not there has no
            axis.

    Raises ValueError where they do not fit.
    """
    axes = []
    for name in shapes:
        ffn, query = _FC1.match(name), _QUERY.match(name)
        if ffn and f"{ffn['layer']}.fc2.weight" in shapes:
            axes.append(_ffn(ffn["layer"], shapes))
        elif query and query["attention"] in heads:
            axes.append(_heads(query["attention"], shapes, heads[query["attention"]]))
    return [*axes, *_stacks(shapes)]


def _stacks(shapes: Shapes) -> list[Axis]:
    """The encoder's and the decoder's layers, each of attention and a feed-forward layer.

    Where the encoder has none such, as for speech, fairseq opens the decoder with all layers only.
    """
    members: dict[str, list[str]] = {}
    for name in shapes:
        layer = layer_of(name)
        if layer is not None and not SHADOW.search(name):
            members.setdefault(layer, []).append(name)
    found = []
    for side, whose in (("encoder", "source"), ("decoder", "target")):
        layers = sorted((n for n in members if place_of(n)[0] == side), key=place_of)
        known = [f"{layer}.{part}" for layer in layers for part in _PARTS]
        inside = [name for layer in layers for name in members[layer]]
        if layers and all(name in shapes for name in known) and not any(map(_FUSED, inside)):
            places = [
                place
                for unit, layer in enumerate(layers)
                for name in members[layer]
                for place in _whole(name, shapes[name], unit)
            ]
            found.append(
                Axis(f"{side}.layers", "layers", f"{whose}-layers", len(layers), tuple(places),
                     tuple(layers))
            )  # fmt: skip
    lacks = any(name.startswith("encoder.") for name in shapes) and not (
        found and found[0].name.startswith("encoder.")
    )
    return [] if lacks else found


def _whole(name: str, shape: tuple[int, ...], unit: int) -> list[Place]:
    """A layer's matrix, which reads where it writes into the residual stream; no bias."""
    if len(shape) < 2:
        return []
    reads = name.endswith(_WRITES)
    return [Place(name, int(reads), reads, width=shape[int(reads)], unit=unit)]


def _ffn(layer: str, shapes: Shapes) -> Axis:
    weight = f"{layer}.fc1.weight"
    places = [
        Place(weight, 0),
        Place(f"{layer}.fc1.bias", 0),
        Place(f"{layer}.fc2.weight", 1, reads=True),
    ]
    return Axis(
        f"{layer}.ffn", "ffn", paper_class(weight), shapes[weight][0], _there(places, shapes)
    )


def _heads(attention: str, shapes: Shapes, heads: int) -> Axis:
    query = f"{attention}.q_proj.weight"
    size, rest = divmod(shapes[query][0], heads)
    if rest:
        raise ValueError(
            f"{query} has {shapes[query][0]} rows, which are not {heads} heads: the checkpoint's "
            "configuration does not fit its weights."
        )
    places = [
        Place(f"{attention}.{part}_proj.{kind}", 0, width=size)
        for part in "qkv"
        for kind in ("weight", "bias")
    ]
    places += [Place(f"{attention}.bias_{part}", 2, width=size) for part in "kv"]
    places.append(Place(f"{attention}.out_proj.weight", 1, reads=True, width=size))
    return Axis(f"{attention}.heads", "heads", paper_class(query), heads, _there(places, shapes))


def _there(places: list[Place], shapes: Shapes) -> tuple[Place, ...]:
    return tuple(place for place in places if place.name in shapes)
