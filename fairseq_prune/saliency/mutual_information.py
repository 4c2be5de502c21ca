"""What a unit tells of the target, and no other unit tells too (after Xing & Hu 2009).

Our reading. For each example, a unit's value is its mean activation over tokens, and the target
the loss per token: what the network makes of the example. Both are cut into four bins at the
quartiles of a normal distribution with their mean and deviation, and the mutual information is
that of the joint counts (the plug-in estimate, in nats). Then the least informative unit goes
first, again and again: the one whose information on the target, less the mean of what it shares
with each unit left, is smallest. A unit's score is its place in that order, in (0, 1].
"""

from collections.abc import Callable

import torch
from torch import Tensor

from fairseq_prune.maths.information import eliminate, mutual_information_of, one_hot
from fairseq_prune.maths.select import Scores
from fairseq_prune.network.inputs import each_example, values
from fairseq_prune.network.units import Axis
from fairseq_prune.saliency.probe import Probe


def mutual_information(probe: Probe) -> Scores:
    """The place of each unit of an axis in the order of elimination, least informative first."""
    assert probe.axes is not None
    readers = {name: axis.columns[0] for name, axis in probe.axes.items() if axis.columns}
    rows: dict[str, list[Tensor]] = {name: [] for name in readers}
    losses = []
    for loss, means in each_example(probe.data, {p.name for p in readers.values()}, values):
        losses.append(loss)
        for name, place in readers.items():
            by_index = means[place.name].mean(dim=0)
            rows[name].append(place.per_unit(by_index, probe.axes[name].units).mean(dim=1))
    reduce = probe.data.reduce
    target = one_hot(torch.tensor(losses, dtype=torch.float64).reshape(-1, 1), reduce)
    return probe.unit_scores(
        {n: _order(axis, rows.get(n, []), target, reduce) for n, axis in probe.axes.items()}
    )


def _order(
    axis: Axis, rows: list[Tensor], target: Tensor, reduce: Callable[[Tensor], None]
) -> Tensor:
    values = torch.stack(rows).cpu() if rows else torch.zeros(len(target), axis.units).double()
    units = one_hot(values, reduce)
    relevance = mutual_information_of(units, target, reduce).reshape(-1)
    return eliminate(relevance, mutual_information_of(units, units, reduce))
