"""How a model came to be, in a word and what was done besides, by what its file says of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from fairseq_prune.checkpoints.record import Record
from fairseq_prune.checkpoints.steps import (
    AVERAGED,
    CONTROL,
    EXPORTED,
    PRUNED,
    SHRUNK,
    TRAINED,
    VOCABULARY,
    Step,
)
from fairseq_prune.checkpoints.tickets import TICKET

ZEROS = 0.01  # the share of exact zeros that no dense training leaves


@dataclass(frozen=True)
class Stage:
    """How a model came to be.

    Args:
        name: ``dense`` (no record at all), ``pruned``, ``retrained``, ``scratch`` (trained under
            another file's masks from the beginning), ``fresh`` (pruned before or while training),
            ``ticket``, ``waiting`` (its schedule has not begun), ``derived`` (made of a model that
            was not pruned, or holds its masks no more) or ``unrecorded`` (no record, and zeros).
        made: what else was done, in order, such as ``shuffle control``, ``shrunk``.
    """

    name: str
    made: tuple[str, ...] = ()


def stage_of(record: Record | None, steps: Sequence[Step], zeros: float) -> Stage:
    """The stage of a checkpoint.

    Args:
        record: of its masks, or None.
        steps: by which it came to be; none for a file without any.
        zeros: the share of its prunable weights that are exactly zero.
    """
    if record is None and not steps:
        return Stage("dense" if zeros <= ZEROS else "unrecorded")
    masked = record is not None and record.masks is not None
    first = next((i for i, step in enumerate(steps) if _prunes(step)), None)
    if first is None and masked and steps:
        first = len(steps) - 1  # masks were set, and no update was made
    made = _made(steps, first)
    if record is not None and isinstance(record.notes.get(TICKET), dict):
        control = record.notes.get("control")
        return Stage("ticket", made or ((f"{control} control",) if control else ()))
    if first is None:
        return Stage("waiting" if record is not None else "derived", made)
    later = steps[first + 1 :]
    if not (masked or steps[-1].kind == EXPORTED or _has_shrunk(steps)):
        return Stage("derived", (*made, "masks dropped"))
    return Stage(_name(steps[first], later), made)


def _prunes(step: Step) -> bool:
    facts = step.facts
    return (
        step.kind in (PRUNED, CONTROL, SHRUNK)
        or (step.kind == TRAINED and bool(facts.get("held")))
        or (step.kind == EXPORTED and bool(facts.get("removed")))
    )


def _has_shrunk(steps: Sequence[Step]) -> bool:
    return any(step.kind == SHRUNK for step in steps)


def _name(first: Step, later: Sequence[Step]) -> str:
    """The stage of a pruned model, by the step that pruned it first and those after it."""
    trained = any(step.kind == TRAINED and step.facts.get("updates") for step in later)
    if first.kind != TRAINED:
        return "retrained" if trained else "pruned"
    if first.facts.get("fresh"):
        return "scratch" if first.facts.get("given") else "fresh"
    return "retrained" if trained or first.facts.get("updates") else "pruned"


def _made(steps: Sequence[Step], first: int | None) -> tuple[str, ...]:
    made: list[str] = []
    for number, step in enumerate(steps):
        facts = step.facts
        if step.kind == CONTROL:
            made.append(f"{facts.get('kind')} control")
        elif step.kind == SHRUNK:
            made.append("shrunk")
        elif step.kind == VOCABULARY:
            made.append("vocabulary cut")
        elif step.kind == AVERAGED:
            made.append(f"mean of {facts.get('count')}")
        elif step.kind == EXPORTED:
            made.append("exported, float16" if facts.get("half") else "exported")
        elif step.kind == PRUNED and first is not None and number > first:
            made.append("pruned again")
        elif step.kind == TRAINED and made and facts.get("updates") and not _holds(made):
            made.append("trained on")
    return tuple(made)


def _holds(made: Sequence[str]) -> bool:
    """Whether training on is what the stage's name says already."""
    return made[-1].endswith("control") or made[-1] == "trained on"
