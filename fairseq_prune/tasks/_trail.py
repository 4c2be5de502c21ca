"""The step that a training run is, after those by which its model came to be."""

from dataclasses import replace
from typing import Any

from fairseq_prune.checkpoints import storage
from fairseq_prune.checkpoints.record import Record
from fairseq_prune.checkpoints.steps import (
    STEPS_KEY,
    TRAINED,
    Step,
    read_steps,
    recipe_at,
    recipe_of,
    starting_at,
    with_steps,
)
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.tasks._ranks import from_first_rank
from fairseq_prune.tasks._start import Start


class Trail:
    """Counts a run's updates, those under masks, and those since the masks last changed.

    Args:
        before: the steps of what the run started from.
        step: the run's own, as far as it had come.
    """

    def __init__(self, before: list[Step] | None = None, step: Step | None = None) -> None:
        self._before = before or []
        self._step = step or Step(kind=TRAINED, facts={"fresh": None})
        facts = self._step.facts
        self.updates, self.held, self.since = (
            int(facts.get(name) or 0) for name in ("updates", "held", "since")
        )

    @classmethod
    def begin(cls, start: Start, recipe: Recipe) -> "Trail":
        """The trail of a run that starts there, under flags as given; rank 0 reads it.

        Raises CheckpointError where what the file says of itself is damaged.
        """
        if start.by_rank:
            before, own = _stored(start, recipe)
        else:  # ranks send each other plain values
            before, own = from_first_rank(lambda: _stored(start, recipe))
        return cls(_steps(before), next(iter(_steps(own)), None))

    def recipe_of(self, record: Record) -> Recipe | None:
        """The recipe that chose the masks of what the run started from; None where nothing says."""
        return recipe_of(record, [*self._before, self._step])

    def update(self, held: bool) -> None:
        """An update is done, under masks or not."""
        self.updates += 1
        self.held += held
        self.since += held

    def changed(self) -> None:
        """The masks have changed."""
        self.since = 0

    def state(self, recipe: Recipe) -> dict[str, Any]:
        """What goes into the checkpoint's ``task_state``; nothing for a run that prunes nothing."""
        if not (recipe.active or self._before):
            return {}
        counts = {"updates": self.updates, "held": self.held, "since": self.since}
        step = replace(self._step, facts={**self._step.facts, **counts})
        if recipe.scheme is not None:
            step = replace(step, recipe=recipe)
        packed: dict[str, Any] = with_steps({}, [*self._before, step])["task_state"]
        return {STEPS_KEY: packed[STEPS_KEY]}


def _stored(start: Start, recipe: Recipe) -> tuple[dict[str, Any], dict[str, Any]]:
    """The steps before a run that starts there, and its own as far as it has come, packed."""
    given = recipe.mask_from is not None
    masks = recipe_at(recipe.mask_from) if recipe.mask_from else None
    if start.path is None:
        own = Step(kind=TRAINED, recipe=masks, facts={"fresh": True, "given": given})
        return with_steps({}, []), with_steps({}, [own])
    steps = read_steps(storage.load(start.path), start.path)
    if start.resumes and steps and steps[-1].kind == TRAINED:
        return with_steps({}, steps[:-1]), with_steps({}, steps[-1:])
    if not steps and not recipe.active:
        return with_steps({}, []), with_steps({}, [])  # plain fairseq's affair: nothing is written
    fresh = None if start.resumes and not steps else False
    own = Step(kind=TRAINED, recipe=masks, facts={"fresh": fresh, "given": given})
    return with_steps({}, steps), with_steps({}, [starting_at(start.path, own)])


def _steps(packed: dict[str, Any]) -> list[Step]:
    return read_steps(packed, "the start of this run")
