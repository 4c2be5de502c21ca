"""Units: neurons, heads and cells, each a slice of several tensors that can only go together.

An axis is a dimension of the network along which units lie, such as the inner width of one
feed-forward layer. Every tensor that has a dimension along it is one of its places: the rows that
make the units' values, and the columns that read them. A unit whose readers are all zero has no
effect, whatever its own weights are; so it can be cut out of every place at once.

The units of a stack are its layers, each with all of its tensors to itself.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fairseq_prune.network.classes import GRANULARITIES, coarser, first_rule, read_rules

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Place:
    """Where the units of an axis lie along one dimension of one tensor.

    Unit k has the indices ``offset + copy * stride + k * width + 0, 1, ..., width - 1``.

    Args:
        name: of the tensor, a matrix or a bias.
        dim: the dimension that runs along the axis.
        reads: whether this part of the tensor multiplies the units' values, or makes them.
        width: how many indices a unit has in a row (the size of a head).
        copies, stride: how often the units lie there (the four gates), and how far apart.
        unit: the one unit that has the tensor to itself, where the others have no part of it;
            ``width`` is then the size of the dimension.
    """

    name: str
    dim: int
    reads: bool = False
    offset: int = 0
    width: int = 1
    copies: int = 1
    stride: int = 0
    unit: int | None = None

    def indices(self, units: Tensor) -> Tensor:
        """The indices of these units: ``(len(units), copies * width)``; of those that have any."""
        if self.unit is not None:
            return torch.arange(self.width).expand(int((units == self.unit).sum()), self.width)
        copies = torch.arange(self.copies) * self.stride
        inner = (copies[:, None] + torch.arange(self.width)[None, :]).reshape(-1)
        return self.offset + units[:, None] * self.width + inner[None, :]

    def rows(self, tensor: Tensor) -> Tensor:
        """The tensor with one row for each index of the dimension."""
        return tensor.movedim(self.dim, 0).flatten(1)

    def per_unit(self, values: Tensor, units: int, fill: float | bool = 0) -> Tensor:
        """``values`` (one an index of the dimension) by unit: ``(units, copies * width)``.

        Args:
            fill: for the units that have no part of the tensor.
        """
        if self.unit is not None:
            found = values.new_full((units, self.width), fill)
            found[self.unit] = values
            return found
        return values[self.indices(torch.arange(units)).to(values.device)]


@dataclass(frozen=True)
class Axis:
    """Units that can be removed one by one, and everywhere they lie.

    Args:
        name: after the module whose width it is.
        kind: one of `fairseq_prune.maths.structure.UNITS`.
        label: its class, by the rules of :mod:`fairseq_prune.network.classes`.
        units: how many there are.
        modules: by unit, the layer that it is, where the units are layers.
    """

    name: str
    kind: str
    label: str
    units: int
    places: tuple[Place, ...]
    modules: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What rules for classes may name; a rule for a matrix is none for the layer around it."""
        own = () if self.modules else (place.name for place in self.places)
        return (self.name, *own)

    @property
    def readers(self) -> tuple[Place, ...]:
        """The places that multiply the units' values."""
        return tuple(place for place in self.places if place.reads)

    def indices(self, place: Place, chosen: Tensor) -> Tensor:
        """Flat indices along ``place.dim`` of the units where ``chosen`` (bool) is True."""
        return place.indices(chosen.cpu().nonzero().reshape(-1)).reshape(-1)


Axes = Mapping[str, Axis]


def check_places(axis: Axis, shapes: Shapes) -> None:
    """Raises ValueError where an axis does not fit the tensors' shapes: it is another model."""
    for place in axis.places:
        shape = shapes[place.name]
        size = shape[place.dim] if place.dim < len(shape) else 0
        unit = axis.units - 1 if place.unit is None else place.unit
        last = int(place.indices(torch.tensor([unit])).max())
        if last >= size:
            raise ValueError(
                f"{place.name} has {size} entries in dimension {place.dim}, too few for the "
                f"{axis.units} units of {axis.name}: the checkpoint's configuration does not fit "
                "its weights."
            )


def owned(axis: Axis, owners: Mapping[str, str]) -> Axis:
    """The axis with each tensor under the one name of those that share it, each place once."""
    reads: dict[Place, bool] = {}
    for place in axis.places:
        key = replace(place, name=owners.get(place.name, place.name), reads=False)
        reads[key] = reads.get(key, False) or place.reads
    return replace(axis, places=tuple(replace(p, reads=r) for p, r in reads.items()))


def classed(axes: Iterable[Axis], classes: str = "paper") -> dict[str, Axis]:
    """The axes by name, labelled by a granularity or a file of rules.

    Args:
        classes: see :func:`fairseq_prune.network.classes.classify`. ``tensor`` makes each axis a
            class of its own; so does ``paper``, under the paper's names.
    """
    rules = [] if classes in GRANULARITIES else read_rules(classes)
    found = {}
    for axis in axes:
        own = first_rule(rules, axis.names)
        label = axis.name if classes == "tensor" else own or coarser(axis.label, classes)
        found[axis.name] = replace(axis, label=label)
    return found
