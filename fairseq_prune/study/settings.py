"""What a study file asks for, checked: data, models, and the grid of points."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.study import STAGES
from fairseq_prune.study.document import Node, read_yaml
from fairseq_prune.study.model_file import ALWAYS, Flags, read_flags
from fairseq_prune.study.recipes import AXES, recipes_of

_LONGEST = 50  # letters of a name: a folder's may have 255, with all that a recipe says
KEPT = ("all", "evaluated")
CHECKPOINTS = ("best", "last")
_BLOCK = ("stages", "models", "data", "seeds", *AXES, "flags", "rounds", "rewind-to")
# of evaluate; the rest of its settings is the study's own business
_PLACES = ("data", "reference", "cpu", "user_dir")


@dataclass(frozen=True)
class DataSet:
    """A binarised corpus.

    Args:
        prepare: script that makes the folder given as its only word, or None.
        bin: folder of fairseq-preprocess; below the prepared folder where there is ``prepare``.
        reference: raw target text of the test set, likewise; None for the data's own.
    """

    name: str
    prepare: Path | None
    bin: Path
    reference: Path | None

    def at(self, folder: Path) -> "DataSet":
        """The data set with its places filled in, prepared in ``folder``."""
        if self.prepare is None:
            return self
        reference = None if self.reference is None else folder / self.reference
        return DataSet(self.name, self.prepare, folder / self.bin, reference)


@dataclass(frozen=True)
class Model:
    """A model: flags of fairseq-train for its dense training, and for retraining."""

    name: str
    dense: Flags
    retrain: Flags | None


@dataclass(frozen=True)
class Cell:
    """One point of the grid for every model, data set and seed in it."""

    stage: str
    models: tuple[str, ...]
    data: tuple[str, ...]
    seeds: tuple[int, ...]
    recipe: Recipe
    rounds: int | None
    rewind_to: int | None


@dataclass(frozen=True)
class Study:
    """A whole study, checked as far as it can be before data are there."""

    path: Path
    title: str
    data: Mapping[str, DataSet]
    models: Mapping[str, Model]
    seeds: tuple[int, ...]
    cells: tuple[Cell, ...]
    evaluate: Mapping[str, Any]
    checkpoint: str
    keep: str

    def settings(self, data: DataSet) -> Settings:
        """How the models of a data set are evaluated; ``data`` has its places filled in."""
        reference = None if data.reference is None else str(data.reference)
        return Settings(data=str(data.bin), reference=reference, **self.evaluate)


def read_study(path: str) -> Study:
    """The study in a YAML file.

    Raises ValueError, with file and line, for what is unknown, missing or makes no sense.
    """
    file = Path(path)
    tree = read_yaml(file)
    top = ("title", "data", "models", "seeds", "grid", "evaluate", "checkpoint", "keep")
    entries = tree.keys(top, needed=("data", "models", "grid"))
    # what is relative is relative to the file, wherever a run is started
    base = file.absolute().parent
    data = {n: _data(n, node, base) for n, node in _named(entries["data"])}
    models = {n: _model(n, node, base) for n, node in _named(entries["models"])}
    seeds = _wholes(entries.get("seeds")) or (1,)
    cells: list[Cell] = []
    for block in entries["grid"].items:
        cells += _cells(block, models, tuple(data), seeds, base)
    return Study(
        path=file,
        title=entries["title"].text if "title" in entries else file.stem,
        data=data,
        models=models,
        seeds=seeds,
        cells=tuple(cells),
        evaluate=_evaluate(entries.get("evaluate")),
        checkpoint=_one_of(entries.get("checkpoint"), CHECKPOINTS),
        keep=_one_of(entries.get("keep"), KEPT),
    )


def _data(name: str, node: Node, base: Path) -> DataSet:
    entries = node.keys(("prepare", "bin", "reference"), needed=("bin",))
    script = None
    if "prepare" in entries:
        script = base / entries["prepare"].text
        if not script.is_file():
            entries["prepare"].fail(f"prepare: there is no script {script}.")
    # below the folder that the script fills, or relative to the study file
    start = Path() if script else base
    places = [start / entries[n].text if n in entries else None for n in ("bin", "reference")]
    where, reference = (p and Path(os.path.normpath(p)) for p in places)
    assert where is not None
    return DataSet(name, script and script.resolve(), where, reference)


def _model(name: str, node: Node, base: Path) -> Model:
    if isinstance(node.value, str):
        config, dense, retrain = node.text, "dense", "retrain"
    else:
        entries = node.keys(("config", "dense", "retrain"), needed=("config",))
        config = entries["config"].text
        dense, retrain = (
            entries[key].text if key in entries else key for key in ("dense", "retrain")
        )
    file = Path(os.path.normpath(base / config))
    try:
        has_retrain = retrain in read_yaml(file).entries
        again = read_flags(file, [ALWAYS, retrain]) if has_retrain else None
        return Model(name, read_flags(file, [ALWAYS, dense]), again)
    except ValueError as error:
        node.fail(f"{node.path}: {error}")


def _named(node: Node) -> Iterable[tuple[str, Node]]:
    """The entries of a mapping whose keys become parts of folders' names."""
    if not node.entries:
        node.fail(f"{node.path} is empty.")
    for name, entry in node.entries.items():
        if not all(c.isalnum() or c in "._" for c in name) or name[:1] in ("", "."):
            entry.fail(f"the name {name!r} becomes part of folders: use letters, digits, . and _.")
        if len(name) > _LONGEST:
            entry.fail(f"the name {name[:9]}... is longer than {_LONGEST} letters.")
    return node.entries.items()


def _evaluate(node: Node | None) -> dict[str, Any]:
    known = {f.name.replace("_", "-"): f for f in fields(Settings) if f.name not in _PLACES}
    values: dict[str, Any] = {}
    for key, entry in (node.keys(tuple(known)) if node else {}).items():
        values[known[key].name] = entry.as_kind(str(known[key].type))
        if key == "beam" and not entry.whole:
            entry.fail("--beam 0 must be 1 or more.")
    try:
        Settings(data="", **values).check_text()
    except ValueError as error:
        assert node is not None
        node.fail(f"{node.path}: {error}")
    return values


def _cells(
    block: Node,
    models: Mapping[str, Model],
    data: tuple[str, ...],
    seeds: tuple[int, ...],
    base: Path,
) -> list[Cell]:
    entries = block.keys(_BLOCK, needed=("stages", "schemes"))
    stages = _names(entries["stages"], tuple(STAGES))
    chosen = _names(entries.get("models"), tuple(models)) or tuple(models)
    without = [name for name in chosen if models[name].retrain is None]
    if "retrained" in stages and without:
        entries["stages"].fail(f"{without[0]} has no section to retrain with.")
    for key in ("rounds", "rewind-to"):
        if key in entries and "ticket" not in stages:
            entries[key].fail(f"{key} belongs to the stage ticket.")
    if "ticket" in stages and "rewind-to" not in entries:
        block.fail("the stage ticket needs rewind-to, the update that survivors go back to.")
    rounds = entries["rounds"].whole if "rounds" in entries else None
    rewind = entries["rewind-to"].whole if "rewind-to" in entries else None
    where = _names(entries.get("data"), data) or data
    own = _wholes(entries.get("seeds")) or seeds
    recipes = recipes_of(block, entries, stages, base)
    return [
        Cell(stage, chosen, where, own, recipe, rounds, rewind)
        for stage in stages
        for recipe in recipes
    ]


def _names(node: Node | None, known: tuple[str, ...]) -> tuple[str, ...]:
    found = []
    for item in node.items if node else ():
        if item.text not in known:
            item.fail(f"{item.path} {item.text!r} is unknown; choose from {', '.join(known)}.")
        found.append(item.text)
    return tuple(dict.fromkeys(found))


def _wholes(node: Node | None) -> tuple[int, ...]:
    return tuple(dict.fromkeys(item.whole for item in node.items)) if node else ()


def _one_of(node: Node | None, known: tuple[str, ...]) -> str:
    return _names(node, known)[0] if node else known[0]
