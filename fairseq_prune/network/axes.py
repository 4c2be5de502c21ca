"""The units of a network, found in a live module or in a checkpoint's tensors."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from torch import Tensor, nn

from fairseq_prune.maths.structure import UNITS
from fairseq_prune.network.classes import part_of, prefix_of, prefixes_of
from fairseq_prune.network.lstm_units import (
    check_kinds,
    is_lstm,
    is_see2016,
    lstm_axes,
    see2016_axes,
)
from fairseq_prune.network.options import Options
from fairseq_prune.network.ties import owners_of
from fairseq_prune.network.transformer_units import transformer_axes
from fairseq_prune.network.units import Axes, Axis, Place, check_places, classed, owned
from fairseq_prune.network.weights import Weights, is_prunable

_HEADS = 8  # in fairseq, where nested settings leave them out


def find_axes(tensors: Mapping[str, Tensor], heads: Mapping[str, int]) -> list[Axis]:
    """All axes of a network with these tensors, under each tensor's first name.

    Args:
        tensors: by name, shared ones under each of their names.
        heads: how many heads an attention module has, by its name.

    Raises ValueError where the tensors contradict each other or the heads.
    """
    owners = owners_of(tensors)
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    if is_lstm(shapes):
        axes = lstm_axes(shapes, lambda a, b: owners[a] == owners[b])
    elif is_see2016(shapes):
        axes = see2016_axes(shapes)
    else:
        axes = transformer_axes(shapes, heads)
    for axis in axes:
        check_places(axis, shapes)
    return _once([owned(axis, owners) for axis in axes], prefixes_of(shapes))


def _once(axes: Sequence[Axis], prefixes: Collection[str]) -> list[Axis]:
    """Each axis once, where several models in one share its tensors; labelled by whose it is."""
    alike: dict[tuple[Place, ...], list[Axis]] = {}
    for axis in axes:
        alike.setdefault(axis.places, []).append(axis)
    return [
        replace(every[0], label=part_of((axis.name for axis in every), prefixes) + every[0].label)
        for every in alike.values()
    ]


def choose_axes(
    axes: Sequence[Axis],
    kinds: Sequence[str],
    prunable: Iterable[str],
    tensors: Mapping[str, Tensor],
    classes: str = "paper",
) -> dict[str, Axis]:
    """The axes of these kinds whose matrices can all be pruned, by name and labelled.

    Args:
        prunable: names of the weights that are neither excluded nor frozen.
        classes: see :func:`fairseq_prune.network.units.classed`.

    Raises ValueError where there are none, or some that cannot be cut.
    """
    if is_see2016({name: tuple(value.shape) for name, value in tensors.items()}):
        check_kinds(kinds)
    chosen = free_axes(axes, kinds, prunable, tensors)
    if chosen:
        return classed(chosen, classes)
    there = [kind for kind in UNITS if any(axis.kind == kind for axis in axes)]
    what = f"it has: {', '.join(there)}" if there else "its units are not known"
    if set(there) & set(kinds):
        what = "all of them are excluded or frozen, at least in a part"
    raise ValueError(
        f"--prune-structure {'+'.join(kinds)} finds no units in this model; {what}."
    )  # fmt: skip


def free_axes(
    axes: Iterable[Axis],
    kinds: Sequence[str],
    prunable: Iterable[str],
    tensors: Mapping[str, Tensor],
) -> list[Axis]:
    """The axes of these kinds whose matrices are all among the ``prunable`` ones."""
    free = set(prunable)
    return [axis for axis in axes if axis.kind in kinds and matrices(axis, tensors) <= free]


def on_axes(weights: Weights, axes: Axes | None) -> Weights:
    """Those of the weights that have a place on an axis; all of them where no units are pruned."""
    if axes is None:
        return weights
    own = {place.name for axis in axes.values() for place in axis.places}
    return {name: weight for name, weight in weights.items() if name in own}


def matrices(axis: Axis, tensors: Mapping[str, Tensor]) -> set[str]:
    """The names of the axis' tensors that masks are for: biases stay, and have no effect."""
    return {p.name for p in axis.places if is_prunable(p.name, tensors[p.name])}


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """A live module's parameters, shared ones under each of their names."""
    return dict(model.named_parameters(remove_duplicate=False))


def heads_of(model: nn.Module) -> dict[str, int]:
    """How many heads each attention module of a live model has, by its name."""
    return {
        name: int(module.num_heads)
        for name, module in model.named_modules()
        if hasattr(module, "q_proj") and isinstance(getattr(module, "num_heads", None), int)
    }


def heads_in(options: Options, names: Iterable[str]) -> dict[str, int]:
    """The same from the settings of a checkpoint's model.

    Args:
        names: of the checkpoint's tensors.

    Raises ValueError where they say something else, or ours not for each layer.
    """
    found = {}
    for name in names:
        attention, dot, _ = name.rpartition(".q_proj.weight")
        layer = attention.rpartition("layers.")[2].partition(".")[0]  # transformer_layers too
        if not dot or not layer.isdigit():
            continue
        heads = _configured(options, attention, int(layer))
        if heads is not None:
            found[attention] = heads
    return found


def _configured(options: Options, attention: str, layer: int) -> int | None:
    own = attention[len(prefix_of(attention)) :]
    side = "encoder" if own.startswith("encoder.") else "decoder"
    part = "decoder_cross" if attention.endswith(".encoder_attn") else side
    by_layer = options.get(f"{part}_heads")  # shrunk_transformer's
    if isinstance(by_layer, str):
        counts = by_layer.split(",")
        if layer >= len(counts) or not counts[layer].isdecimal() or int(counts[layer]) < 1:
            raise ValueError(f"{part}_heads {by_layer} does not say how many {attention} has.")
        return int(counts[layer])
    return options.number(f"{side}_attention_heads", _HEADS if options.nests(side) else None)
