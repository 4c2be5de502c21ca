"""The kinds of points, one entry each: what it starts from, its command, and how it is shown.

Studies, workers and reports ask this table; none of them knows a stage by its name. Adding one is
an entry here.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fairseq_prune.checkpoints import CONTROLS
from fairseq_prune.maths.structure import UNITS, Units
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.study import commands
from fairseq_prune.study.commands import Job
from fairseq_prune.study.document import Node
from fairseq_prune.study.point import Point, is_timed


@dataclass(frozen=True)
class Key:
    """A key of a block that belongs to a stage: a list, a point for each of its values.

    Args:
        what: it says, for people.
        read: its value, or ValueError.
        default: where it is left out; None where it has to be given.
    """

    what: str
    read: Callable[[Node], str | int]
    default: str | int | None = None


@dataclass(frozen=True)
class Stage:
    """A kind of point: how a study makes it, and how a report shows it.

    Args:
        label: in tables and figures.
        what: a line on it; "" for what no study asks for, but a file may be.
        command: the words that make a point of it.
        start: by the recipe, the stage that it starts from; None for nothing.
        result: the file that it leaves, ``{checkpoint}`` filled in; see :func:`result_of`.
        training: the section of a model's configuration that it trains with, as the model names it;
            "" where it trains nothing.
        new_weights: whether that training begins with weights of its own.
        prunes: whether a recipe belongs to it.
        check: raises ValueError where a recipe is none for it; its second argument is whether the
            point starts from one of another block.
        evaluated: whether what it leaves is decoded and scored.
        chains: whether it may start from a point of another block in place of the dense model.
        can_start: whether another block may start from it.
        keys: of a block that belong to it.
        tagged: whether reports cannot read the values of ``keys`` off a file: they become tags.
        shown_as: the stage under which reports show it; "" for its own name.
        style: of its line in figures, a key of report.styles.PALETTE; "" for one to spare.
        is_dense: the model that all others are made of and compared with.
        against: the stage whose model it is compared with in place of the dense one, where there is
            one: dense too, and trained as long; "" for none.
        level: nothing is removed: a horizontal line in figures.
        removes: a line over what is removed. Neither: in tables only.
        sized: a dense model of another size: a point of its own against the weights left.
        trained: whether it was trained after it was pruned, or under its masks.
        random: the label of its line of random masks, drawn beside another scheme's; "" for none.
        example: whose sentences are shown: the smallest number there is; 0 for never.
    """

    label: str
    what: str = ""
    command: Callable[[Job], list[str]] = commands.train
    start: Callable[[Recipe | None], str | None] = lambda recipe: None
    result: str = "checkpoint_{checkpoint}.pt"
    training: str = ""
    new_weights: bool = False
    prunes: bool = True
    check: Callable[[Recipe, bool], object] = lambda recipe, chained: None
    evaluated: bool = True
    chains: bool = True
    can_start: bool = True
    keys: Mapping[str, Key] = field(default_factory=dict)
    tagged: bool = False
    shown_as: str = ""
    style: str = ""
    is_dense: bool = False
    against: str = ""
    level: bool = False
    removes: bool = False
    sized: bool = False
    trained: bool = False
    random: str = ""
    example: int = 0


def _kind(node: Node) -> str:
    if node.text not in CONTROLS:
        node.fail(f"kinds {node.text!r} is unknown; choose from {', '.join(CONTROLS)}.")
    return node.text


def _applied(recipe: Recipe, chained: bool) -> None:
    from fairseq_prune.checkpoints.apply import check_recipe  # with torch: --help does without

    check_recipe(recipe, "DATA" if recipe.looks else None)


def _by_unit(recipe: Recipe, chained: bool) -> None:
    # weights may go after units
    if not chained and not isinstance(recipe.groups(), Units):
        raise ValueError(
            f"--prune-structure {recipe.structure or 'weight'} leaves no unit without effect, and "
            f"the stage shrunk cuts units out: choose {' or '.join(UNITS)}."
        )


def _by_class(recipe: Recipe, chained: bool) -> None:
    if isinstance(recipe.groups(), Units):
        raise ValueError(
            f"--prune-structure {recipe.structure} prunes units, which lie in several classes; the "
            "stage sensitivity takes weight, row or block:RxC."
        )


def _after_pruning(recipe: Recipe | None) -> str:
    """A schedule prunes the dense model itself."""
    return DENSE if recipe is not None and is_timed(recipe) else PRUNED


_CONTROL = {"kinds": Key(f"the kinds of fairseq-prune control: {', '.join(CONTROLS)}", _kind)}
_TICKET = {
    "rounds": Key("how often it is pruned", lambda node: node.whole, 5),
    "rewind-to": Key("the update that survivors go back to", lambda node: node.whole),
}
DENSE, PRUNED, LONGER = "dense", "pruned", "longer"
# in the order in which tables show them
STAGES: dict[str, Stage] = {
    DENSE: Stage(
        "dense", "a model that is not pruned", training=DENSE, new_weights=True, prunes=False,
        chains=False, style="black", is_dense=True, level=True,
    ),
    LONGER: Stage(
        "dense, trained on", "the dense model, trained for as long as the retrained one",
        commands.train_on, lambda recipe: DENSE, training="retrain", prunes=False, chains=False,
        level=True,
    ),
    "small": Stage(
        "dense of other settings",
        "a dense model of another section of its configuration, or of other flags",
        training="small", new_weights=True, prunes=False, level=True, sized=True,
    ),
    PRUNED: Stage(
        "pruned", "the trained model, pruned", commands.apply, lambda recipe: DENSE, "pruned.pt",
        check=_applied, style="blue", removes=True, example=4,
    ),
    "retrained": Stage(
        "pruned + retrained", "the pruned model, trained further under its masks",
        commands.retrain, _after_pruning, training="retrain", style="vermilion", removes=True,
        trained=True, against=LONGER, random="random + retrained", example=1,
    ),
    "scratch": Stage(
        "sparse from the beginning", "a fresh model, trained under the masks of the pruned one",
        commands.train_under, lambda recipe: PRUNED, training=DENSE, new_weights=True,
        style="green", removes=True, trained=True, example=3,
    ),
    "fresh": Stage(
        "pruned before or while training",
        "a fresh model, pruned before its first update, or by a schedule",
        commands.train_pruned, training=DENSE, new_weights=True, removes=True, trained=True,
    ),
    "ticket": Stage(
        "lottery ticket", "rounds of pruning and rewinding", commands.tickets,
        result="tickets/round-{rounds}/checkpoint_{checkpoint}.pt", training=DENSE, check=_applied,
        new_weights=True, keys=_TICKET, tagged=True, style="orange", removes=True, trained=True,
        example=2,
    ),
    "control": Stage(
        "control of the pruned", "a control of the pruned model (shuffled, ...)", commands.control,
        lambda recipe: PRUNED, "control.pt", chains=False, keys=_CONTROL, shown_as=PRUNED,
    ),
    "control-retrained": Stage(
        "control, retrained", "the control, trained further under its masks", commands.retrain,
        lambda recipe: "control", training="retrain", chains=False, keys=_CONTROL,
        shown_as="retrained",
    ),
    "shrunk": Stage(
        "shrunk", "the retrained model without its pruned units", commands.shrink,
        lambda recipe: "retrained", "shrunk.pt", check=_by_unit, can_start=False,
        shown_as="retrained",
    ),
    "sensitivity": Stage(
        "sensitivity", "one weight class pruned at a time", commands.sensitivity,
        lambda recipe: DENSE, "sensitivity.json", check=_by_class, evaluated=False, chains=False,
        can_start=False,
    ),
    # what files and evaluations may be besides
    "waiting": Stage("not pruned yet"),
    "derived": Stage("dense"),
    "unrecorded": Stage("no record of pruning"),
    "ensemble": Stage("ensemble"),
}  # fmt: skip
ASKED = {name: stage for name, stage in STAGES.items() if stage.what}  # by studies
# what --tag stage= may say
TAGS = tuple(name for name, stage in STAGES.items() if stage.level or stage.removes)


def result_of(point: Point) -> str:
    """The file that a point leaves, below its folder; the one that it is, where it is one."""
    if point.file is not None:
        return str(point.file.path)
    template = STAGES[point.stage].result
    return template.format(checkpoint=point.checkpoint, **point.own)


def command_of(point: Point, place: Callable[[Point], Path], data: str) -> list[str]:
    """The words of the command that makes a point; none where it is a file that is there.

    Args:
        place: the folder of a point.
        data: binarised data.
    """
    if point.file is not None:
        return []
    sources = [str(place(one) / result_of(one)) for one in before(point)]
    job = Job(point, place(point), result_of(point), sources, data)
    return STAGES[point.stage].command(job)


def before(point: Point) -> Iterator[Point]:
    """The points that this one starts from, the nearest first."""
    while point.needs is not None:
        point = point.needs
        yield point


def starts_of(stage: str, recipe: Recipe | None) -> list[str]:
    """The stages that one goes through, itself first; the last is DENSE where it starts there."""
    found = [stage]
    while (start := STAGES[found[-1]].start(recipe)) is not None:
        found.append(start)
    return found


def keys_of(stages: Sequence[str]) -> dict[str, Key]:
    """The keys of a block that belong to one of the stages."""
    return {key: made for name in stages for key, made in STAGES[name].keys.items()}


def is_drawn(stage: str, recipe: Recipe | None) -> bool:
    """Whether a stage's seed decides anything, beside what it starts from."""
    if STAGES[stage].training or STAGES[stage].keys:
        return True
    return recipe is not None and (
        recipe.saliencies != ("magnitude",) or bool(recipe.looks) or is_timed(recipe)
    )
