"""The points of a study: each one an ordinary run, with a name of its own and what it needs."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from fairseq_prune.checkpoints.steps import file_digest
from fairseq_prune.files.text import file_name
from fairseq_prune.network.classes import GRANULARITIES
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.study.model_file import Flags
from fairseq_prune.study.recipes import is_timed, needs_mask
from fairseq_prune.study.settings import CHECKPOINTS, Cell, Model, Study

DENSE = "dense"
_HASH = 8  # hexadecimal digits: 2,000 points collide once in 2,000 studies


@dataclass(frozen=True)
class Point:
    """One run of a study.

    Args:
        stage: "dense", or a key of STAGES.
        model, data, seed: of the run.
        recipe: how it prunes; None for a dense model.
        training: the flags of its fairseq-train; None where it trains nothing.
        needs: the point that it starts from, or None.
        rounds, rewind_to: of a ticket.
        checkpoint: of a training's, the one that counts: "best" or "last".
    """

    stage: str
    model: str
    data: str
    seed: int
    recipe: Recipe | None = None
    training: Flags | None = None
    needs: "Point | None" = None
    rounds: int | None = None
    rewind_to: int | None = None
    checkpoint: str = CHECKPOINTS[0]

    @cached_property
    def name(self) -> str:
        """A readable name, the same for the same settings and for no others."""
        words = [self.model, self.data, self.stage]
        if self.recipe is not None:
            words += _readable(self.recipe)
        return "-".join([*map(file_name, words), f"s{self.seed}", self.digest[:_HASH]])

    @cached_property
    def digest(self) -> str:
        """A hash of all that decides the point, and of what it starts from."""
        # what is not set is left out: a later version may have more that can be set
        recipe = {} if self.recipe is None else self.recipe.settings
        if recipe.get("classes") not in (None, *GRANULARITIES):
            recipe["classes"] = file_digest(recipe["classes"])
        settings = {
            "stage": self.stage,
            "model": self.model,
            "data": self.data,
            "seed": self.seed,
            "recipe": {name: value for name, value in recipe.items() if value is not None},
            "training": None if self.training is None else self.training.pairs,
            "needs": None if self.needs is None else self.needs.digest,
            "ticket": [self.rounds, self.rewind_to],
        }
        if self.checkpoint != CHECKPOINTS[0]:
            settings["checkpoint"] = self.checkpoint
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()

    @property
    def work(self) -> tuple[str, float]:
        """What it costs: the unit ("update", "epoch", or a stage's name), and how many of it."""
        if self.training is None:
            return self.stage, 1.0
        unit, length = self.training.length
        return unit, length * ((self.rounds or 0) + 1)


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


def points_of(study: Study) -> list[Point]:
    """Every point that the grid asks for or starts from, each once.

    Seed after seed, so that a study that is stopped early has whole ones; what is needed first.
    """
    found: dict[str, Point] = {}
    for cell in study.cells:
        for data in cell.data:
            for model in cell.models:
                for seed in cell.seeds:
                    for point in _chain(study.models[model], data, seed, cell, study.checkpoint):
                        found.setdefault(point.name, point)
    return sorted(found.values(), key=lambda point: (point.seed, _depth(point)))


def _chain(model: Model, data: str, seed: int, cell: Cell, checkpoint: str) -> Iterator[Point]:
    """The point of a cell, after those that it starts from."""
    recipe = replace(cell.recipe, seed=seed)

    def point(
        stage: str, training: Flags | None, needs: Point | None, recipe: Recipe | None = recipe
    ) -> Point:
        known = (stage, model.name, data, seed, recipe, training, needs)
        return Point(*known, checkpoint=checkpoint)

    dense = point(DENSE, model.dense, None, None)
    pruned = point("pruned", None, dense)
    yield dense
    if needs_mask([cell.stage], recipe):
        yield pruned
    if cell.stage == "retrained":
        yield point("retrained", model.retrain, dense if is_timed(recipe) else pruned)
    elif cell.stage == "scratch":
        yield point("scratch", model.dense, pruned)
    elif cell.stage == "sensitivity":
        yield point("sensitivity", None, dense)
    elif cell.stage == "fresh":
        yield point("fresh", model.dense, None)
    elif cell.stage == "ticket":
        ticket = point("ticket", model.dense, None)
        yield replace(ticket, rounds=cell.rounds or 5, rewind_to=cell.rewind_to)


def _depth(point: Point) -> int:
    return 0 if point.needs is None else 1 + _depth(point.needs)
