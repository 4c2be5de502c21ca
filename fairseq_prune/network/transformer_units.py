"""The units of Transformers: neurons of feed-forward layers, and attention heads.

The width of the embedding is none of them: layer normalisation and sinusoidal positions depend on
all of it, so that no column can be cut out with the rest unchanged.
"""

import re
from collections.abc import Mapping

from fairseq_prune.network.classes import paper_class
from fairseq_prune.network.units import Axis, Place, Shapes

_FC1 = re.compile(r"(?P<layer>.*layers\.\d+)\.fc1\.weight$")
_QUERY = re.compile(
    r"(?P<attention>.*layers\.\d+\.(self_attn|encoder_attn)(\.bert_attn)?)\.q_proj\.weight$"
)


def transformer_axes(shapes: Shapes, heads: Mapping[str, int]) -> list[Axis]:
    """The axes of every feed-forward layer and attention in ``shapes``.

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
    return axes


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
