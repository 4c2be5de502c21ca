"""The promise of a pruned run, looked at while it trains: pruned weights are zero, counts exact.

It is looked at before anything is set to zero, so that zeroing does not hide who breaks it.
"""

import logging
from collections.abc import Mapping, Sequence

from fairseq_prune.masks.hold import Holder
from fairseq_prune.pruning.summary import ClassRow
from fairseq_prune.tasks._averages import Averages
from fairseq_prune.tasks._optimizer import Copies

logger = logging.getLogger("fairseq_prune")


def check_weights(
    holder: Holder, rows: Sequence[ClassRow], classes: Mapping[str, str], update: int | None
) -> None:
    """Raises ValueError where a pruned weight is not zero, or a class has not its count."""
    _refuse("the model", holder.violations(), update)
    counted: dict[str, int] = {}
    for name, count in holder.removed().items():
        counted[classes[name]] = counted.get(classes[name], 0) + count
    for row in rows:
        if counted[row.name] != row.removed:
            raise ValueError(
                f"{counted[row.name]:,} weights of the class {row.name} are held at zero"
                f"{_at(update)}, but {row.removed:,} were pruned: the masks have changed in "
                "memory, and nothing was saved; go on from the last checkpoint, and test this "
                "machine's memory."
            )


def check_copies(holder: Holder, copies: Copies, averages: Averages, update: int | None) -> None:
    """Raises ValueError where the optimizer, or an average, remembers a pruned weight."""
    _refuse("the optimizer", copies.violations(holder), update)
    for state in averages.states():
        _refuse("the moving average", holder.violations_in(state), update)


def zero_what_grew(holder: Holder, path: str) -> bool:
    """Whether all pruned weights of a file were zero; those that were not become zero."""
    bad = holder.violations()
    if bad:
        logger.warning(
            "%s has %s non-zero weights under its masks (%s...): an average of checkpoints "
            "with different masks, or trained without this plugin; they are set to zero.",
            path, f"{sum(bad.values()):,}", next(iter(bad)),
        )  # fmt: skip
        holder.zero_weights_()
    return not bad


def _refuse(place: str, found: Mapping[str, int], update: int | None) -> None:
    if not found:
        return
    first, count = next(iter(found.items()))
    more = f" ({sum(found.values()):,} in {len(found)} tensors)" if len(found) > 1 else ""
    raise ValueError(
        f"{count:,} pruned weights of {first} are not zero in {place}{_at(update)}{more}: "
        "something writes them after the optimizer's step (another --user-dir, optimizer, "
        "criterion or --ddp-backend), and nothing was saved; leave it out and go on from the "
        "last checkpoint, or, if there is no such thing, send this sentence and the log to the "
        "maintainers of fairseq_prune."
    )


def _at(update: int | None) -> str:
    return "" if update is None else f" after update {update:,}"
