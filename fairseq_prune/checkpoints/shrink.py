"""Cutting units without effect out of a checkpoint: a smaller network, the same function."""

from argparse import Namespace
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from fairseq_prune.checkpoints.checkpoint import Opened, with_states
from fairseq_prune.checkpoints.record import Record
from fairseq_prune.checkpoints.steps import (
    SHRUNK,
    Step,
    read_steps,
    recipe_of,
    starting_at,
    with_step,
)
from fairseq_prune.checkpoints.storage import PRUNE_KEY
from fairseq_prune.checkpoints.units import every_axis, tensors_in
from fairseq_prune.checkpoints.widths import STOCK, ModelSettings, even, paired, settings_of
from fairseq_prune.masks.state import Masks
from fairseq_prune.maths.structure import UNITS, Units
from fairseq_prune.network.classes import GRANULARITIES, prefix_of
from fairseq_prune.network.layers import is_within, kept_of, renamed
from fairseq_prune.network.options import architecture, changed
from fairseq_prune.network.ties import owners_of, parameter_count
from fairseq_prune.network.unit_masks import gone, sums
from fairseq_prune.network.units import Axis
from fairseq_prune.network.weights import FAIRSEQ_PAD, SHADOW, of_state_dict
from fairseq_prune.pruning.notes import Notes
from fairseq_prune.pruning.recipe import Recipe

_EMBED_PATHS = ("encoder_embed_path", "decoder_embed_path")
Keep = Mapping[str, Mapping[int, Tensor]]  # name to dimension to the indices that stay


@dataclass(frozen=True)
class CutOut:
    """What is to be cut out of a checkpoint; nothing is done yet.

    Args:
        axes: all of the network's.
        kept: bool by axis, ``(units,)``: those with an effect, and a few without where a width
            asks for them.
        settings: of the network that is left.
        layers: by side, the numbers of the layers that are left; empty where all are.
    """

    source: Opened
    axes: list[Axis]
    kept: Mapping[str, Tensor]
    keep: Keep
    settings: ModelSettings
    layers: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def name(self, name: str) -> str | None:
        """What a tensor is called in what is left; None where it is not left."""
        return renamed(name, self.layers)

    @property
    def arch(self) -> str | None:
        """The architecture of what is left; fairseq's where ours has become even."""
        before = architecture(self.source.content)
        return self.settings.arch or STOCK.get(str(before), before)

    @property
    def counts(self) -> dict[str, tuple[int, int]]:
        """By axis, how many units there were and how many are left."""
        return {axis.name: (axis.units, int(self.kept[axis.name].sum())) for axis in self.axes}


def without_effect(axis: Axis, tensors: Mapping[str, Tensor]) -> Tensor:
    """Which units nothing reads, so that the network's output is the same without them: bool."""
    read = torch.zeros(axis.units, dtype=torch.bool)
    for place in axis.readers:
        along = place.rows(tensors[place.name] != 0).any(dim=1)
        read |= place.per_unit(along, axis.units).any(dim=1)
    return ~read


def plan(source: Opened, uniform: bool = False, anyway: bool = False) -> CutOut:
    """What can be cut out of a checkpoint.

    Args:
        uniform: leave units without effect in place until stock fairseq can open the result.
        anyway: cut also where weights were pruned, not units.

    Raises ValueError where there is nothing to cut, or little and ``anyway`` is not set.
    """
    tensors, out = tensors_in(source.content["model"]), _out(source)
    axes = [axis for axis in every_axis(source) if not is_within(axis.name, out)]
    dead = {axis.name: _dead(axis, tensors, out) for axis in axes}
    _check(source, axes, dead, anyway)
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    # a width of 0 is none; a unit without effect in its place is
    counts = {name: max(1, int((~flags).sum())) for name, flags in dead.items()}
    counts = even(axes, counts, shapes) if uniform else paired(axes, counts)
    if all(counts[axis.name] == axis.units for axis in axes):
        why = "stock fairseq can open it" if uniform else "no width is 0, both directions are alike"
        raise ValueError(
            f"{source.path} has units without effect, but each has to stay so that {why}: there is "
            "nothing to cut out."
        )
    kept = {name: _fill(~flags, counts[name]) for name, flags in dead.items()}
    keep = _indices(axes, kept, shapes)
    left = {name: _shape(shape, keep.get(name, {})) for name, shape in shapes.items()}
    layers = kept_of(out, tensors) if out else {}
    left = {
        new: left[first]
        for name, first in owners_of(tensors).items()
        if (new := renamed(name, layers)) is not None
    }
    heads = [axis for axis in axes if axis.kind == "heads"]
    sizes = {
        axis.name.removeprefix(prefix_of(axis.name)).partition(".")[0]: axis.places[0].width
        for axis in heads
    }
    return CutOut(source, axes, kept, keep, settings_of(left, sizes, layers), layers)


def _out(source: Opened) -> frozenset[str]:
    return frozenset() if source.masks is None else source.masks.out


def _dead(axis: Axis, tensors: Mapping[str, Tensor], out: Collection[str]) -> Tensor:
    """Which units can go: a layer that is not run, or what nothing reads."""
    if axis.modules:
        return torch.tensor([layer in out for layer in axis.modules])
    return without_effect(axis, tensors)


def shrink(cut: CutOut) -> dict[str, Any]:
    """The smaller checkpoint: its model and averages cut, its settings rewritten.

    The optimizer's state is left out, and so are fairseq's shadow copies, which it makes anew.
    Masks stay where they prune what is left.
    """
    content = with_states(cut.source.content, lambda state: _cut_state(state, cut))
    task_state = dict(content.get("task_state") or {})
    task_state.pop(PRUNE_KEY, None)
    record = _record(cut, content["model"])
    content["task_state"] = {**task_state, **({PRUNE_KEY: record.pack()} if record else {})}
    if isinstance(content.get("cfg"), Mapping):
        config = dict(content["cfg"])
        content["cfg"] = {**config, "model": _configured(config.get("model"), cut)}
        if isinstance(config.get("task"), Namespace):  # which has all flags, the model's too
            content["cfg"]["task"] = changed(
                config["task"], {"arch": cut.arch, **cut.settings.values}
            )
    content["args"] = _configured(content.get("args"), cut)
    return with_step(content, cut.source.content, _step(cut, content), cut.source.path)


def _step(cut: CutOut, content: Mapping[str, Any]) -> Step:
    """What is cut out, of the whole and of the weights that could be pruned."""
    source = cut.source
    names = source.weights if source.masks is None else source.masks
    before = {name: w.prunable for name, w in source.weights.items() if name in names}
    after = of_state_dict(content["model"])
    own = [new for name in before if (new := cut.name(name)) is not None]
    left = sum(after[name].prunable for name in own if name in after)
    counts = {"cut": sum(before.values()) - left, "prunable": sum(before.values())}
    parameters = [parameter_count(whole["model"]) for whole in (source.content, content)]
    recipe = recipe_of(source.record, read_steps(source.content, source.path))
    facts = {"parameters": parameters, **counts}
    return starting_at(source.path, Step(kind=SHRUNK, recipe=recipe, facts=facts))


def _check(source: Opened, axes: list[Axis], dead: Mapping[str, Tensor], anyway: bool) -> None:
    if not axes:
        raise ValueError(
            f"{source.path} has no units that are known here: fairseq's LSTM and Transformer can "
            "be shrunk, other models cannot."
        )
    count, total = sum(int(flags.sum()) for flags in dead.values()), sum(a.units for a in axes)
    kinds = [kind for kind in UNITS if any(axis.kind == kind for axis in axes)]
    several = f", or several: {'+'.join(kinds)}" if len(kinds) > 1 else ""
    advice = f"prune units first (--prune-structure {' or '.join(kinds)}{several})"
    if count == 0:
        raise ValueError(
            f"{source.path} has no whole unit to cut out: each of its {total:,} has an effect; "
            f"{advice}."
        )
    if not anyway and not by_unit(source, axes, dead):
        raise ValueError(
            f"The masks of {source.path} remove single weights, not whole units: {count:,} of its "
            f"{total:,} units have no effect; {advice}, or give --anyway to cut out these."
        )


def by_unit(source: Opened, axes: list[Axis], dead: Mapping[str, Tensor]) -> bool:
    """Whether units were pruned as units, whatever was pruned after that or holds their masks.

    The masks say so: most of the units without effect are gone whole, and the others have so much
    left that weights removed one by one, at the worst unit's rate, would be expected to leave none.

    Args:
        dead: bool by axis, the units without effect.
    """
    masks, record = source.masks, source.record
    if masks is None or (record is not None and isinstance(record.recipe.groups(), Units)):
        return True
    removed = {name: (~mask).double() for name, mask in masks.items()}
    every = {name: torch.ones_like(mask) for name, mask in removed.items()}
    whole, by_chance = 0, 0.0
    for axis in axes:
        away = gone(axis, masks, source.weights)
        if 0 < int(away.sum()) < axis.units:  # weights alone can empty a whole tensor
            lacks, sizes = (sums(axis, values)[~away] for values in (removed, every))
            whole += int(away.sum())
            by_chance += float(axis.units * ((lacks / sizes) ** sizes).max())
    return 2 * whole >= sum(int(flags.sum()) for flags in dead.values()) and by_chance < 1


def _fill(kept: Tensor, count: int) -> Tensor:
    """``kept`` with the first of the others, until they are ``count``."""
    more = (~kept).nonzero().reshape(-1)[: count - int(kept.sum())]
    filled = kept.clone()
    filled[more] = True
    return filled


def _indices(
    axes: list[Axis], kept: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]
) -> Keep:
    flags: dict[str, dict[int, Tensor]] = {}
    for axis in axes:
        if axis.modules:  # the whole tensors of a layer go, or stay
            continue
        for place in axis.places:
            along = flags.setdefault(place.name, {})
            size = shapes[place.name][place.dim]
            mask = along.setdefault(place.dim, torch.ones(size, dtype=torch.bool))
            mask[axis.indices(place, ~kept[axis.name])] = False
    return {
        name: {dim: mask.nonzero().reshape(-1) for dim, mask in along.items()}
        for name, along in flags.items()
    }


def _shape(shape: tuple[int, ...], along: Mapping[int, Tensor]) -> tuple[int, ...]:
    return tuple(len(along[dim]) if dim in along else size for dim, size in enumerate(shape))


def _take(tensor: Tensor, along: Mapping[int, Tensor]) -> Tensor:
    for dim, indices in along.items():
        tensor = tensor.index_select(dim, indices)
    return tensor.clone() if not along else tensor


def _cut_state(state: Mapping[str, Any], cut: CutOut) -> dict[str, Any]:
    tensors = {n: v for n, v in tensors_in(state).items() if not SHADOW.search(n)}
    owners, made = owners_of(tensors), dict[str, Tensor]()
    for name, first in owners.items():
        along = cut.keep.get(first, {})
        made[name] = made[first] if first in made else _take(tensors[first], along)
    left = {n: made.get(n, v) for n, v in state.items() if n in made or not SHADOW.search(n)}
    return {new: value for n, value in left.items() if (new := cut.name(n)) is not None}


def _record(cut: CutOut, model: Mapping[str, Any]) -> Record | None:
    """The record of the masks that still prune something."""
    masks = cut.source.masks
    if masks is None:
        return None
    left = {
        new: _take(mask, cut.keep.get(name, {}))
        for name, mask in masks.items()
        if (new := cut.name(name)) is not None
    }
    if all(bool(mask.all()) for mask in left.values()):
        return None
    fixed = {}
    for name in masks.fixed:  # a pad row, whose width may be less by now
        width = left[name][0].numel()
        fixed[name] = (FAIRSEQ_PAD * width, (FAIRSEQ_PAD + 1) * width)
    assert cut.source.record is not None
    classes = cut.source.record.recipe.resolved.classes
    recipe = Recipe(mask_from=cut.source.path, classes=classes)
    record = cut.source.record
    if cut.layers:  # their numbers are other ones now, and so are the names of their classes
        known = classes if classes in GRANULARITIES else "paper"
        labels = {name: w.weight_class for name, w in of_state_dict(model, known).items()}
        extremes = {
            new: pair for n, pair in record.extremes.items() if (new := cut.name(n)) is not None
        }
        record = replace(record, classes=labels, extremes=extremes)
    return replace(
        record, recipe=recipe, masks=Masks(left, fixed), acted=None, notes=Notes(),
        parameters=(), penalty=None,
    )  # fmt: skip


def _configured(config: Any, cut: CutOut) -> Any:
    """A model's configuration with other widths; a namespace or a mapping, or None."""
    if config is None:
        return None
    is_same = cut.arch == architecture(cut.source.content)
    names = {} if is_same else {"arch": cut.arch, "_name": cut.arch}
    # the tables are in the file: what they began with, elsewhere and as wide as it was, is not read
    return changed(config, {**cut.settings.values, **names, **dict.fromkeys(_EMBED_PATHS)})
