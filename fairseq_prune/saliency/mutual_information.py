"""What a unit tells of the target, and no other unit tells too (after Xing & Hu 2009).

Our reading. For each example, a unit's value is the mean of what its readers take of it, over all
of them and over tokens (an LSTM's cell: of the encoder's and the decoder's states), and the target
the loss per token: what the network makes of the example. Both are cut into four bins at the
quartiles of a normal distribution with their mean and deviation, and the mutual information is
that of the joint counts (the plug-in estimate). Then the least informative unit goes first, again
and again: the one whose information on the target, less the mean of what it shares with each unit
left, is smallest; of equals the one with the higher index. A unit's score is its place in that
order, in (0, 1].
"""

from collections.abc import Callable, Mapping
from contextlib import closing

import torch
from torch import Tensor

from fairseq_prune.maths.information import eliminate, mutual_information_of, one_hot
from fairseq_prune.maths.select import Scores
from fairseq_prune.network.inputs import Reading, each_example, values
from fairseq_prune.network.units import Axis
from fairseq_prune.saliency.probe import Probe


def mutual_information(probe: Probe) -> Scores:
    """The place of each unit of an axis in the order of elimination, least informative first."""
    assert probe.axes is not None
    rows: dict[str, list[Tensor]] = {name: [] for name in probe.axes}
    losses = []
    # it changes what torch does everywhere until it is closed, which an error would leave to chance
    with closing(each_example(probe.data, probe.readings, values)) as examples:
        for loss, sums, counts in examples:
            losses.append(loss)
            for name, axis in probe.axes.items():
                rows[name].append(_value(axis, sums) / _value(axis, counts).clamp_min(1))
    reduce = probe.data.reduce
    target = one_hot(torch.tensor(losses, dtype=torch.float64).reshape(-1, 1), reduce)
    return probe.unit_scores(
        {n: _order(axis, rows[n], target, reduce) for n, axis in probe.axes.items()}
    )


def _value(axis: Axis, found: Mapping[Reading, Tensor]) -> Tensor:
    """The sum over an axis' readers: ``(units,)``; of a head, the mean over its dimensions."""
    parts = []
    for place in axis.readers:
        along = found[place.name, place.dim].select(1 - place.dim, 0)  # the same for each output
        parts.append(place.per_unit(along, axis.units).mean(dim=1))
    return torch.stack(parts).sum(dim=0)


def _order(
    axis: Axis, rows: list[Tensor], target: Tensor, reduce: Callable[[Tensor], None]
) -> Tensor:
    values = torch.stack(rows).cpu() if rows else torch.zeros(len(target), axis.units).double()
    units = one_hot(values, reduce)
    relevance, _ = mutual_information_of(units, target, reduce, variables=axis.units)
    shared, _ = mutual_information_of(units, units, reduce, variables=axis.units)
    return eliminate(relevance.reshape(-1), shared)
