"""What a pruned checkpoint says of itself: our entry in its ``task_state``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fairseq_prune import __version__
from fairseq_prune.checkpoints import storage
from fairseq_prune.checkpoints.storage import FORMAT, CheckpointError
from fairseq_prune.files.strict_json import is_of_kind
from fairseq_prune.files.text import this_command
from fairseq_prune.masks.state import Masks
from fairseq_prune.pruning.notes import Notes
from fairseq_prune.pruning.pruner import Extremes
from fairseq_prune.pruning.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Record:
    """How a model was pruned, and its masks.

    Args:
        recipe: the flags.
        masks: what is kept; None before the first pruning.
        acted: the step of the last pruning; None where masks were taken from elsewhere.
        classes: weight class by weight name.
        extremes: by weight, the largest magnitude ever removed and the smallest kept.
        notes: what the scheme found on the way.
        parameters: name and size of what the optimizer's state numbers, in its order; empty where
            the file has no optimizer state.
        penalty: of the criterion that it was trained with: settings and memory, packed; or None.
        command, version: what made the file.
    """

    recipe: Recipe
    masks: Masks | None
    acted: int | None
    classes: Mapping[str, str]
    extremes: Extremes = field(default_factory=dict)
    notes: Notes = field(default_factory=Notes)
    parameters: Sequence[tuple[str, int]] = ()
    penalty: Mapping[str, Any] | None = None
    command: str = field(default_factory=this_command)
    version: str = __version__

    @property
    def is_final(self) -> bool:
        """Whether the schedule has reached the sparsity asked for."""
        return self.recipe.is_final(self.acted)

    def pack(self) -> dict[str, Any]:
        """Plain values and packed masks, to go into a checkpoint."""
        return {
            "format": FORMAT,
            "version": self.version,
            "config": self.recipe.settings,
            "signature": self.recipe.signature(),
            "command": self.command,
            "acted": self.acted,
            "masks": None if self.masks is None else self.masks.pack(),
            "classes": dict(self.classes),
            "extremes": {name: list(pair) for name, pair in self.extremes.items()},
            "notes": self.notes.pack(),
            "parameters": [[name, size] for name, size in self.parameters],
            "penalty": self.penalty,
        }


def read_record(checkpoint: Mapping[str, Any], origin: str) -> Record | None:
    """The record in a checkpoint, or None where it was never pruned; ``origin`` names the file.

    Raises CheckpointError where the entry or its masks are damaged or of a later format.
    """
    stored = storage.prune_state(checkpoint)
    return None if stored is None else unpack_record(stored, origin)


def unpack_record(stored: Mapping[str, Any], origin: str) -> Record:
    """The record that :meth:`Record.pack` gave; ``origin`` names the file in errors.

    Raises CheckpointError where it is damaged or of a later format.
    """
    storage.check_format(stored, origin)
    masks = storage.masks_in(stored, origin)
    try:
        acted, penalty = stored["acted"], stored.get("penalty")  # older files have no penalty
        _check_extremes(stored["extremes"])
        if penalty is not None and not isinstance(penalty, Mapping):
            raise ValueError("the penalty is no dict")
        return Record(
            recipe=Recipe.from_settings(stored["config"]),
            masks=masks,
            acted=None if acted is None else int(acted),
            classes={str(name): str(label) for name, label in stored["classes"].items()},
            extremes={str(n): (pair[0], pair[1]) for n, pair in stored["extremes"].items()},
            notes=Notes.unpack(stored["notes"]),
            parameters=[(str(name), int(size)) for name, size in stored["parameters"]],
            penalty=penalty,
            command=str(stored["command"]),
            version=str(stored["version"]),
        )
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        what = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
        raise CheckpointError(f"What {origin} says of its pruning is damaged ({what}).") from None


def _check_extremes(extremes: Any) -> None:
    """By weight, two magnitudes or None."""
    for name, pair in extremes.items():
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise ValueError(f"the extremes of {_shown(name)} are no pair")
        if not all(one is None or is_of_kind(one, "float") for one in pair):
            raise ValueError(f"the extremes of {_shown(name)} are no numbers")


def _shown(value: Any) -> str:
    return f"{str(value)[:40]!r}"
