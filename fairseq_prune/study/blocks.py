"""The grid of a study file: each block is the product of its lists, a cell for each point."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.study.document import Node
from fairseq_prune.study.keys import BLOCK, needed_in
from fairseq_prune.study.model_file import TASK, Flags, Model, is_recipe_flag
from fairseq_prune.study.point import Own
from fairseq_prune.study.recipes import AXES, recipes_of, training_flags
from fairseq_prune.study.scoring import EVALUATE, scoring_of
from fairseq_prune.study.stages import ASKED, DENSE, STAGES, Key, keys_of, starts_of


@dataclass(frozen=True)
class Cell:
    """One point of the grid for every data set and seed in it.

    Args:
        stage, model: of the point.
        data, seeds: of the points.
        recipe: None where nothing is pruned.
        settings: of the stage, by key.
        training: of the point, or of what it starts from; None where nothing is trained.
        start: what it starts from in place of the dense model.
        tags: of the points' rows.
    """

    stage: str
    model: str
    data: tuple[str, ...]
    seeds: tuple[int, ...]
    recipe: Recipe | None = None
    settings: Own = ()
    training: Flags | None = None
    start: "Cell | None" = None
    tags: tuple[tuple[str, str], ...] = ()


def cells_of(
    grid: Node,
    models: Mapping[str, Model],
    data: tuple[str, ...],
    seeds: tuple[int, ...],
    base: Path,
) -> list[Cell]:
    """The cells of all blocks; raises ValueError, with the line, for what makes no sense.

    Args:
        data, seeds: of blocks that name none.
        base: folder that files in flags are relative to.
    """
    found: list[Cell] = []
    named: dict[str, list[Cell]] = {}
    for node in grid.items:
        block = _Block(node, models, data, seeds, base, named)
        cells = list(block.cells())
        if block.name:
            named[block.name] = cells
        found += cells
    return found


class _Block:
    """A block while it is read."""

    def __init__(
        self,
        node: Node,
        models: Mapping[str, Model],
        data: tuple[str, ...],
        seeds: tuple[int, ...],
        base: Path,
        named: Mapping[str, Sequence[Cell]],
    ) -> None:
        self.node, self.base = node, base
        self.entries = node.keys((*BLOCK, *keys_of(list(ASKED))), needed_in(BLOCK))
        self.stages = names_in(self.entries["stages"], tuple(ASKED))
        chosen = names_in(self.entries.get("models"), tuple(models)) or tuple(models)
        self.models = [models[name] for name in chosen]
        self.data = names_in(self.entries.get("data"), data) or data
        self.seeds = wholes_in(self.entries.get("seeds")) or seeds
        self.name = self._name(named)
        self._check_axes()
        self._check_files()
        self.settings = {name: self._settings(name) for name in self.stages}
        self._check_keys()
        self.starts = self._starts(named)

    def cells(self) -> Iterator[Cell]:
        """A cell for each point of the block: stage by stage, each recipe for all models."""
        for stage in self.stages:
            of_each = [self._cells(stage, model) for model in self.models]
            yield from itertools.chain.from_iterable(zip(*of_each, strict=True))

    def _cells(self, stage: str, model: Model) -> list[Cell]:
        task = model.dense.get("task") or TASK
        if not STAGES[stage].evaluated and scoring_of(task) != EVALUATE:
            self.entries["stages"].fail(
                f"the stage {stage} is for translations, and {model.name} is a classifier."
            )
        training = self._training(stage, model)
        recipes: Sequence[Recipe | None] = [None]
        if STAGES[stage].prunes:
            recipes = recipes_of(self.node, self.entries, stage, self.base, training)
        self._check_start(stage, recipes)
        starts = [start for start in self.starts if start is None or start.model == model.name]
        return [
            Cell(stage, model.name, self.data, self.seeds, recipe, settings, training, start,
                 self._tags(stage, settings))
            for recipe, settings, start in itertools.product(recipes, self.settings[stage], starts)
        ]  # fmt: skip

    def _tags(self, stage: str, settings: Own) -> tuple[tuple[str, str], ...]:
        """The block's name, and what tells its points apart where a report would not see it."""
        own = (("name", self.name),) if self.name else ()
        several = len(self.settings[stage]) > 1 and STAGES[stage].tagged
        return own + tuple((key, str(value)) for key, value in settings if several)

    def _name(self, named: Mapping[str, Sequence[Cell]]) -> str:
        if "name" not in self.entries:
            return ""
        name = self.entries["name"].text
        if name in named:
            self.entries["name"].fail(f"name {name!r} stands twice.")
        return name

    def _check_axes(self) -> None:
        if any(STAGES[name].prunes for name in self.stages):
            if "schemes" not in self.entries:
                self.node.fail(f"schemes is missing in {self.node.path}.")
            return
        flags = self.entries["flags"].entries if "flags" in self.entries else {}
        own = {axis: self.entries[axis] for axis in AXES if axis in self.entries}
        own |= {flag: node for flag, node in flags.items() if is_recipe_flag(flag)}
        for name, node in own.items():
            said = ", ".join(self.stages)
            node.fail(f"{name} belongs to stages that prune, and {said} does not.")

    def _check_files(self) -> None:
        """A model that is there has to be there for every seed."""
        for model, seed in itertools.product(self.models, self.seeds):
            try:
                model.file(seed)
            except ValueError as error:
                self.entries.get("seeds", self.node).fail(str(error))

    def _check_keys(self) -> None:
        mine = keys_of(self.stages)
        for key, node in self.entries.items():
            if key not in (*BLOCK, *mine):
                owners = " and ".join(n for n, stage in ASKED.items() if key in stage.keys)
                node.fail(f"{key} belongs to the stage {owners}.")
        trains = any(self._section(name) for name in self.stages)
        if not trains and "section" in self.entries:
            self.entries["section"].fail("section belongs to stages that train.")
        if not trains and (flags := training_flags(self.entries.get("flags"))):
            self.entries["flags"].fail(f"{next(iter(flags))} belongs to stages that train.")

    def _settings(self, stage: str) -> list[Own]:
        """The product of the stage's own keys."""
        lists = []
        for name, key in STAGES[stage].keys.items():
            lists.append([(name, value) for value in self._values(stage, name, key)])
        return list(itertools.product(*lists))

    def _values(self, stage: str, name: str, key: Key) -> list[str | int]:
        if name in self.entries:
            return list(dict.fromkeys(key.read(item) for item in self.entries[name].items))
        if key.default is None:
            self.node.fail(f"the stage {stage} needs {name}, {key.what}.")
        return [key.default]

    def _section(self, stage: str) -> str:
        """The training of a stage, or of what it goes through; "" for none."""
        names = [name for name in starts_of(stage, None) if name == stage or name != DENSE]
        return next((STAGES[name].training for name in names if STAGES[name].training), "")

    def _training(self, stage: str, model: Model) -> Flags | None:
        section = self._section(stage)
        if not section:
            return None
        if STAGES[stage].is_dense and {"section", "flags"} & set(self.entries):
            self.node.fail(
                f"the stage {stage} is trained as the model's own section says; without section "
                "and flags here."
            )
        place = self.entries.get("section", self.node)
        if "section" in self.entries:
            section = place.text
        elif section == "retrain" and model.retrain is None:
            self.entries["stages"].fail(f"{model.name} has no section to {section} with.")
        try:
            if STAGES[stage].new_weights and not STAGES[stage].is_dense:
                model.check_new()
            return model.training(section, training_flags(self.entries.get("flags")))
        except ValueError as error:
            place.fail(str(error))

    def _starts(self, named: Mapping[str, Sequence[Cell]]) -> Sequence[Cell | None]:
        """The cells of the block that this one starts from."""
        if "from" not in self.entries:
            return [None]
        node = self.entries["from"]
        if node.text not in named:
            node.fail(f"from {node.text!r}: no block above has this name.")
        cells = [cell for cell in named[node.text] if STAGES[cell.stage].can_start]
        stages = list(dict.fromkeys(cell.stage for cell in cells))
        if len(stages) != 1:
            said = ", ".join(stages) or "none"
            node.fail(
                f"from {node.text!r}: of the stages of that block one has to be there to start "
                f"from, and there are {said}; give each a block of its own."
            )
        lacking = [model.name for model in self.models if all(c.model != model.name for c in cells)]
        if lacking:
            node.fail(f"from {node.text!r}: that block has no model {lacking[0]}.")
        return cells

    def _check_start(self, stage: str, recipes: Sequence[Recipe | None]) -> None:
        if "from" in self.entries:
            ends = {starts_of(stage, recipe)[-1] for recipe in recipes}
            if not STAGES[stage].chains or ends != {DENSE}:
                self.entries["from"].fail(
                    f"the stage {stage} does not start from another block's model."
                )


def names_in(node: Node | None, known: tuple[str, ...]) -> tuple[str, ...]:
    """The names in a list, each once; raises ValueError for one that is not known."""
    found = []
    for item in node.items if node else ():
        if item.text not in known:
            item.fail(f"{item.path} {item.text!r} is unknown; choose from {', '.join(known)}.")
        found.append(item.text)
    return tuple(dict.fromkeys(found))


def wholes_in(node: Node | None) -> tuple[int, ...]:
    """The whole numbers in a list, each once."""
    return tuple(dict.fromkeys(item.whole for item in node.items)) if node else ()
