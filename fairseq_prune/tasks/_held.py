"""A run's masks, held in all that has a copy of a pruned weight: model, optimizer, moving average.

What was promised is looked at before anything is set to zero, so that zeroing does not hide who
breaks it: pruned weights are zero, and counts are exact.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fairseq_prune.masks.hold import Holder
from fairseq_prune.masks.state import Masks
from fairseq_prune.network.weights import Weights
from fairseq_prune.pruning.pruner import Extremes
from fairseq_prune.pruning.summary import ClassRow, by_class
from fairseq_prune.tasks._averages import Averages
from fairseq_prune.tasks._optimizer import Copies

logger = logging.getLogger("fairseq_prune")


class Held:
    """The masks of one run; none at first.

    Attributes:
        holder: of the model's weights; None before there are masks.
        rows: the table of classes.
        averages, copies: what fairseq's moving average and its optimizer keep of weights.
    """

    def __init__(self) -> None:
        self.holder: Holder | None = None
        self.rows: list[ClassRow] = []
        self.averages = Averages()
        self.copies = Copies()
        self._classes: Mapping[str, str] = {}
        self._update: int | None = None  # updates completed; None before this process did one

    def masks(self) -> Masks | None:
        """The masks, made anew; None where there are none."""
        return None if self.holder is None else self.holder.masks()

    def take(
        self, masks: Masks, weights: Weights, classes: Mapping[str, str], extremes: Extremes
    ) -> None:
        """Hold other masks from now on; nothing is zeroed yet."""
        self._classes = classes
        self.holder = Holder(masks, {name: w.tensor for name, w in weights.items()})
        self.averages.hold(self.holder)
        self.rows = by_class(masks, classes, extremes)

    def take_from_file(
        self, path: str, resumes: bool, masks: Masks, weights: Weights,
        classes: Mapping[str, str], extremes: Extremes,
    ) -> None:  # fmt: skip
        """Hold a file's masks; where weights under them are not zero, say so and zero them.

        Args:
            path: the file.
            resumes: whether its optimizer state is taken up too.
        """
        self.take(masks, weights, classes, extremes)
        assert self.holder is not None
        clean = zero_what_grew(self.holder, path)
        self.copies.stale(known_zero=clean and resumes)

    def prune(
        self, masks: Masks, weights: Weights, classes: Mapping[str, str], extremes: Extremes
    ) -> None:
        """Hold masks that have just been chosen."""
        self.take(masks, weights, classes, extremes)
        assert self.holder is not None
        self.holder.zero_weights_()
        self.holder.zero_gradients_()
        self.copies.stale()

    def see(self, optimizer: Any, update: int | None = None) -> None:
        """The optimizer that is at work, and how many updates are completed."""
        self.copies.optimizer = optimizer
        self._update = self._update if update is None else update

    def zero_copies(self) -> None:
        """Zero what the optimizer keeps of pruned weights."""
        if self.holder is not None:
            self.copies.zero(self.holder)

    def after_update(self, step: int) -> None:
        """Zero what an update has written."""
        if self.holder is not None:
            self.holder.zero_weights_()
            self.copies.hold(self.holder, step)

    def validate(self) -> None:
        """Zeros in the model. Raises ValueError where an update left none, or counts are wrong."""
        if self.holder is not None:
            if self._update is not None:
                check_weights(self.holder, self.rows, self._classes, self._update)
            self.holder.zero_weights_()

    def zero_for_saving(self) -> None:
        """The same in all that is about to be written."""
        if self.holder is not None:
            if self._update is not None:
                check_copies(self.holder, self.copies, self.averages, self._update)
            self.validate()
            self.copies.zero_for_saving(self.holder)


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
