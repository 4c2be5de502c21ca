"""The promise of a pruned run, looked at while it trains: pruned weights are zero, counts exact.

It is looked at before anything is set to zero, so that zeroing does not hide who breaks it.
"""

import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import nn

from fairseq_prune.masks.hold import Holder
from fairseq_prune.pruning.summary import ClassRow
from fairseq_prune.tasks._optimizer import Copies


class Averages:
    """The moving averages (EMA) of the model that is trained, as far as they are known.

    fairseq makes an average as a deep copy, and gives its new values to ``load_state_dict``.
    """

    def __init__(self) -> None:
        self._model: weakref.ref[nn.Module] | None = None
        self._given: Mapping[str, Any] = {}  # with --ema-fp32, not the copy's own tensors

    def seen(self, model: nn.Module, state: Mapping[str, Any]) -> None:
        """A copy is being given these values."""
        self._model, self._given = weakref.ref(model), state

    def zero_(self, holder: Holder) -> None:
        """Take new masks over: an average's next update may be a while away."""
        for state in self.states():
            holder.zero_state_dict_(state)

    def states(self) -> Iterator[Mapping[str, Any]]:
        """Yields the tensors of each average by name."""
        model = self._model() if self._model is not None else None
        if model is not None:
            yield dict(model.named_parameters())
            yield self._given


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
