"""Penalties on weights, the criterions' own flags: growing regularisation and group lasso."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from fairseq_prune.maths.structure import Block, Element
from fairseq_prune.pruning.recipe import Recipe, flags

if TYPE_CHECKING:
    from fairseq_prune.maths.penalty import Growth

DEFAULT_CEILING = 100.0  # against Adam, no weight holds out above about 1 / penalty
DEFAULT_RAISES = 100
DEFAULT_STRENGTH = 0.1
GROWTHS = ("greg-1", "greg-2")


def _flag(default: Any, text: str) -> Any:
    return dataclasses.field(default=default, metadata={"help": text})


@dataclass(frozen=True, kw_only=True)
class Growing:
    """Growing regularisation (Wang et al. 2021): each field is a flag, ``--prune-penalty-ceiling``
    and so on."""

    name: ClassVar[str] = "growing"

    penalty: str = _flag(
        GROWTHS[0],
        "greg-1 (the weights to remove are chosen at the start), greg-2 (half way, after a small "
        "penalty on all of them)",
    )
    penalty_ceiling: float = _flag(
        DEFAULT_CEILING,
        "the penalty at --prune-start: each update makes a chosen weight w smaller by lr * penalty "
        "* w",
    )
    penalty_raises: int = _flag(DEFAULT_RAISES, "in how many steps of equal size it grows")

    def check(self, recipe: Recipe, rates: Sequence[float]) -> None:
        """Raises ValueError where it makes no sense.

        Args:
            recipe: the task's prune flags, checked.
            rates: --lr, as far as it is known.
        """
        _check_scheme(self.name, recipe)
        if recipe.schedule not in (None, "one-shot"):
            raise ValueError(
                f"--prune-schedule {recipe.schedule} contradicts the growing penalty, which "
                "removes all that it chose at --prune-start; leave the schedule out."
            )
        if not recipe.start:
            raise ValueError(
                "A growing penalty needs --prune-start, the update at which the weights that it "
                "shrank are removed: about half of the run."
            )
        if self.penalty not in GROWTHS:
            raise ValueError(
                f"--prune-penalty {self.penalty!r} is unknown; choose {' or '.join(GROWTHS)}."
            )
        if not (math.isfinite(self.penalty_ceiling) and self.penalty_ceiling > 0):
            raise ValueError(
                f"--prune-penalty-ceiling {self.penalty_ceiling} must be a number above 0."
            )
        if self.penalty_raises < 1:
            raise ValueError(f"--prune-penalty-raises {self.penalty_raises} must be 1 or more.")
        largest = max(rates, default=0.0)
        if largest * self.penalty_ceiling > 1:
            raise ValueError(
                f"--prune-penalty-ceiling {self.penalty_ceiling:g} times --lr {largest:g} is more "
                "than 1, and an update cannot take more than all of a weight: give at most "
                f"{1 / largest:g}."
            )

    def growth(self, since: int, until: int) -> "Growth":
        """The penalty's rise between these steps."""
        from fairseq_prune.maths.penalty import Growth  # with torch, which --help does without

        picks = self.penalty == GROWTHS[1]
        return Growth(since, until, self.penalty_ceiling, self.penalty_raises, picks)


@dataclass(frozen=True, kw_only=True)
class GroupLasso:
    """Group lasso on the tiles of --prune-structure (Narang et al. 2017b), until pruning ends."""

    name: ClassVar[str] = "group_lasso"

    penalty_strength: float = _flag(
        DEFAULT_STRENGTH,
        "each update makes the root mean square of a group smaller by lr * strength, down to zero",
    )

    def check(self, recipe: Recipe, rates: Sequence[float]) -> None:
        """Raises ValueError where it makes no sense; see :meth:`Growing.check`."""
        _check_scheme(self.name, recipe)
        if not isinstance(recipe.groups(), Element | Block):
            raise ValueError(
                f"--prune-structure {recipe.structure} has no groups inside a tensor that could go "
                "whole; group lasso takes row, block:RxC, or weight (plain lasso)."
            )
        if recipe.timetable().last == 0:
            raise ValueError(
                "Group lasso works up to the last pruning, and here that is before the first "
                "update: give --prune-start, about half of the run, or a gradual schedule."
            )
        strength = self.penalty_strength
        if not (math.isfinite(strength) and strength >= 0):
            raise ValueError(f"--prune-penalty-strength {strength} must be a number, 0 or more.")

    def groups(self, recipe: Recipe) -> Element | Block:
        """What goes to zero together."""
        structure = recipe.groups()
        assert isinstance(structure, Element | Block)
        return structure


Penalty = Growing | GroupLasso


@dataclass(frozen=True)
class PenaltyEntry:
    """A penalty as it is offered, as ``CRITERION_NAME``: its flags, one line on it, and a paper."""

    settings: type[Growing] | type[GroupLasso]
    summary: str
    paper: str


PENALTIES: dict[str, PenaltyEntry] = {
    Growing.name: PenaltyEntry(
        Growing, "shrinks the chosen weights more and more, then removes them", "Wang et al. 2021"
    ),
    GroupLasso.name: PenaltyEntry(
        GroupLasso, "shrinks whole groups, down to zero, before pruning", "Narang et al. 2017b"
    ),
}


def settings_of(penalty: Penalty) -> dict[str, Any]:
    """Its name and the values of its flags, as stored in checkpoints."""
    return {"name": penalty.name, **dataclasses.asdict(penalty)}


def penalty_differences(
    mine: Mapping[str, Any] | None, stored: Mapping[str, Any] | None
) -> list[str]:
    """What differs from the penalty in a file, each as ``--prune-x here (in the file: y)``.

    Args:
        mine: this run's settings, or None.
        stored: what the file says of its penalty, or None.
    """
    here, there = dict(mine or {}), dict((stored or {}).get("settings", {}))
    rows = []
    for name in dict.fromkeys((*here, *there)):
        if here.get(name) != there.get(name):
            flag = "the criterion's penalty" if name == "name" else flags({name})
            rows.append(f"{flag} {here.get(name)} (in the file: {there.get(name)})")
    return rows


def _check_scheme(name: str, recipe: Recipe) -> None:
    if recipe.scheme is None:
        raise ValueError(
            f"A criterion *_{name} needs --prune-scheme: the penalty is on weights that are to be "
            "removed."
        )
