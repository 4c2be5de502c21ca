"""What a pruned checkpoint says of itself: our entry in its ``task_state``."""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fairseq_prune import __version__
from fairseq_prune.masks import storage
from fairseq_prune.masks.state import Masks
from fairseq_prune.masks.storage import FORMAT, CheckpointError
from fairseq_prune.pruning.plausible import check_extremes, check_notes
from fairseq_prune.pruning.pruner import Extremes
from fairseq_prune.pruning.recipe import Recipe


def this_command() -> str:
    """The command line of this process, as it can be typed again."""
    program = os.path.basename(sys.argv[0]) if sys.argv else ""
    return shlex.join([program, *sys.argv[1:]])


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
    notes: Mapping[str, Any] = field(default_factory=dict)
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
            "notes": {k: dict(v) if isinstance(v, Mapping) else v for k, v in self.notes.items()},
            "parameters": [[name, size] for name, size in self.parameters],
            "penalty": self.penalty,
        }


def read_record(checkpoint: Mapping[str, Any], origin: str) -> Record | None:
    """The record in a checkpoint, or None where it was never pruned; ``origin`` names the file.

    Raises CheckpointError where the entry or its masks are damaged or of a later format.
    """
    stored = storage.prune_state(checkpoint)
    if stored is None:
        return None
    storage.check_format(stored, origin)
    masks = storage.masks_of(checkpoint, origin)
    try:
        acted, penalty = stored["acted"], stored.get("penalty")  # older files have no penalty
        check_extremes(stored["extremes"])
        check_notes(stored["notes"])
        if penalty is not None and not isinstance(penalty, Mapping):
            raise ValueError("the penalty is no dict")
        recipe = Recipe.from_settings(stored["config"])
        recipe.groups()  # refuses what is no structure
        return Record(
            recipe=recipe,
            masks=masks,
            acted=None if acted is None else int(acted),
            classes={str(name): str(label) for name, label in stored["classes"].items()},
            extremes={str(n): (pair[0], pair[1]) for n, pair in stored["extremes"].items()},
            notes=dict(stored["notes"]),
            parameters=[(str(name), int(size)) for name, size in stored["parameters"]],
            penalty=penalty,
            command=str(stored["command"]),
            version=str(stored["version"]),
        )
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        what = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
        raise CheckpointError(f"What {origin} says of its pruning is damaged ({what}).") from None
