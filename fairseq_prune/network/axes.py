"""The units of a network, found in a live module or in a checkpoint's tensors."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from torch import Tensor, nn

from fairseq_prune.maths.structure import LAYERS, UNITS
from fairseq_prune.network.classes import part_of, prefix_of, prefixes_of
from fairseq_prune.network.layers import is_within, place_of
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

    Layers that share a tensor cannot go one by one, and are no axis.

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
    free = [axis for axis in axes if not axis.modules or not _shares(axis, owners)]
    return _once([owned(axis, owners) for axis in free], prefixes_of(shapes))


def _shares(axis: Axis, owners: Mapping[str, str]) -> bool:
    """Whether a tensor of an axis has another name too."""
    names = Counter(owners.values())
    return any(names[owners[place.name]] > 1 for place in axis.places)


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
    there = [kind for kind in UNITS if any(axis.kind == kind for axis in axes)]
    if LAYERS in kinds and not any(axis.kind == LAYERS for axis in chosen):
        kinds = (LAYERS,)  # layers go first: without any, the rest is not what was asked for
    elif chosen:
        return classed(chosen, classes)
    what = f"it has: {', '.join(there)}" if there else "its units are not known"
    if set(there) & set(kinds):
        what = "all of them are excluded or frozen, at least in a part"
    elif set(there) & {"hidden", "embedding"} and LAYERS in kinds:
        what = (
            "an LSTM's layers have no residual connection, by which what comes in could go on "
            f"without a layer; it has: {', '.join(there)}"
        )
    raise ValueError(
        f"--prune-structure {'+'.join(kinds)} finds no units in this model; {what}."
    )  # fmt: skip


def check_layers(axes: Axes | None, options: Options) -> None:
    """Raise ValueError where layers are to go, and fairseq could not open what is left.

    Args:
        axes: of a recipe; None where it prunes no units.
        options: the settings of the model.
    """
    layers = [layer for axis in (axes or {}).values() for layer in axis.modules]
    if not layers:
        return
    if options.nests("encoder") or options.nests("decoder"):
        raise ValueError(
            "--prune-structure layers needs settings as fairseq-train writes them; in those of "
            "fairseq-hydra-train, fairseq cannot leave layers out: train with fairseq-train."
        )
    if options.get("early_exit"):
        raise ValueError(
            "--prune-structure layers cannot take layers of a model with --early-exit, which "
            "counts them; prune units inside them (ffn)."
        )
    aligns = options.get("alignment_layer")
    if type(aligns) is int and aligns >= 0:
        bound = [n for side, n in map(place_of, layers) if side == "decoder" and n <= aligns]
        if bound:
            raise ValueError(
                f"--prune-structure layers cannot take decoder layer {bound[0]}: words are aligned "
                f"by layer {aligns} (--alignment-layer), which fairseq finds by its number; leave "
                "the decoder whole (--prune-exclude target-layer), or layers up to this one."
            )


def free_axes(
    axes: Iterable[Axis],
    kinds: Sequence[str],
    prunable: Iterable[str],
    tensors: Mapping[str, Tensor],
) -> list[Axis]:
    """The axes of these kinds whose matrices are all among the ``prunable`` ones.

    Of layers, those of which that is true are units.
    """
    free = set(prunable)
    found = [_free_layers(axis, free, tensors) if axis.modules else axis for axis in axes]
    return [axis for axis in found if axis.kind in kinds and matrices(axis, tensors) <= free]


def _free_layers(axis: Axis, free: Collection[str], tensors: Mapping[str, Tensor]) -> Axis:
    held = {p.unit for p in axis.places if p.name in matrices(axis, tensors) and p.name not in free}
    units = [unit for unit in range(axis.units) if unit not in held] or list(range(axis.units))
    places = [
        replace(p, unit=units.index(p.unit)) for p in axis.places if p.unit in units
    ]  # fmt: skip
    modules = tuple(axis.modules[unit] for unit in units)
    return replace(axis, units=len(units), places=tuple(places), modules=modules)


def outside(axes: Axes, out: Collection[str]) -> dict[str, Axis]:
    """The axes that do not lie in one of the layers ``out``."""
    return {name: axis for name, axis in axes.items() if not is_within(name, out)}


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
