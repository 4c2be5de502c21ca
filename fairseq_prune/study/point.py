"""A point of a study: an ordinary run, with a name of its own and what it starts from."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fairseq_prune.files.text import file_name
from fairseq_prune.files.writing import file_digest
from fairseq_prune.network.classes import GRANULARITIES
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.study.model_file import File, Flags

CHECKPOINTS = ("best", "last")
Own = tuple[tuple[str, str | int], ...]  # settings of a stage, by the keys of a block
_HASH = 8  # hexadecimal digits: 2,000 points collide once in 2,000 studies
_TICKET = ("rounds", "rewind-to")  # settings that a digest has under a name of its own


@dataclass(frozen=True)
class Point:
    """One run of a study.

    Args:
        stage: a key of :data:`~fairseq_prune.study.stages.STAGES`.
        model, data: of the run.
        seed: of the run; None where chance has no part in it, nor in what it starts from.
        recipe: how it prunes; None for a model that is not pruned.
        training: the flags of its fairseq-train; None where it trains nothing.
        needs: the point that it starts from, or None.
        settings: of its stage, by the keys of a block that belong to it.
        checkpoint: of a training's, the one that counts: "best" or "last".
        file: what it is, where it was there before the study and nothing makes it.
        tags: more of its rows' tags, which decide nothing.
    """

    stage: str
    model: str
    data: str
    seed: int | None
    recipe: Recipe | None = None
    training: Flags | None = None
    needs: "Point | None" = None
    settings: Own = ()
    checkpoint: str = CHECKPOINTS[0]
    file: File | None = None
    tags: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    @cached_property
    def name(self) -> str:
        """A readable name, the same for the same settings and for no others."""
        words = [self.model, self.data, self.stage]
        if self.recipe is not None:
            words += _readable(self.recipe)
        seed = [] if self.seed is None else [f"s{self.seed}"]
        return "-".join([*map(file_name, words), *seed, self.digest[:_HASH]])

    @cached_property
    def digest(self) -> str:
        """A hash of all that decides the point, and of what it starts from."""
        # what is not set is left out: a later version may have more that can be set
        recipe = {} if self.recipe is None else self.recipe.settings
        if recipe.get("classes") not in (None, *GRANULARITIES):
            recipe["classes"] = file_digest(recipe["classes"])
        settings: dict[str, Any] = {
            "stage": self.stage,
            "model": self.model,
            "data": self.data,
            "seed": self.seed,
            "recipe": {name: value for name, value in recipe.items() if value is not None},
            "training": None if self.training is None else self.training.pairs,
            "needs": None if self.needs is None else self.needs.digest,
            "ticket": [self.own.get(name) for name in _TICKET],
        }
        if self.checkpoint != CHECKPOINTS[0]:
            settings["checkpoint"] = self.checkpoint
        if self.file is not None:
            settings["file"] = self.file.digest
        others = {name: value for name, value in self.settings if name not in _TICKET}
        if others:
            settings["settings"] = others
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()

    @property
    def own(self) -> Mapping[str, str | int]:
        """The settings of its stage by name."""
        return dict(self.settings)

    @property
    def work(self) -> tuple[str, float]:
        """What it costs: the unit ("update", "epoch", or a stage's name), and how many of it."""
        if self.training is None:
            return self.stage, 1.0
        unit, length = self.training.length
        return unit, length * (int(self.own.get("rounds", 0)) + 1)


def is_timed(recipe: Recipe) -> bool:
    """Whether the recipe prunes while a model trains."""
    return recipe.schedule not in (None, "one-shot") or bool(recipe.times)


def _readable(recipe: Recipe) -> list[str]:
    settings = recipe.settings
    words = [str(recipe.scheme)]
    if settings["saliency"] != "magnitude":
        words.insert(0, str(settings["saliency"]))
    if settings["structure"]:
        words.append(str(settings["structure"]))
    if recipe.schedule:
        words.append(recipe.schedule)
    if settings["sparsity"] is not None:
        words.append(f"{100 * settings['sparsity']:.6g}")
    return words
