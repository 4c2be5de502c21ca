"""What a study file asks for, checked: data, models, and the cells of its grid."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairseq_prune.study.blocks import Cell, cells_of, names_in, wholes_in
from fairseq_prune.study.document import Node, read_yaml
from fairseq_prune.study.keys import DATA, FILE, MODEL, needed_in
from fairseq_prune.study.model_file import TASK, Model, flags_in, read_model
from fairseq_prune.study.point import CHECKPOINTS
from fairseq_prune.study.scoring import EVALUATE, SCORINGS, read_settings, scoring_of
from fairseq_prune.study.trained_model import SECTIONS, Trained, read_trained
from fairseq_prune.tasks.own import SCORED

_LONGEST = 50  # letters of a name: a folder's may have 255, with all that a recipe says
KEPT = ("all", "evaluated")


@dataclass(frozen=True)
class DataSet:
    """A binarised corpus.

    Args:
        prepare: script that makes the folder given as its only word, or None.
        bin: folder of fairseq-preprocess; below the prepared folder where there is ``prepare``.
        reference: raw target text of the test set, likewise; None for the data's own.
        also: other subsets that are scored beside it, with the raw target text of each, likewise.
    """

    name: str
    prepare: Path | None
    bin: Path
    reference: Path | None
    also: Mapping[str, Path] = field(default_factory=dict)

    def at(self, folder: Path) -> "DataSet":
        """The data set with its places filled in, prepared in ``folder``."""
        if self.prepare is None:
            return self
        reference = None if self.reference is None else folder / self.reference
        also = {subset: folder / path for subset, path in self.also.items()}
        return DataSet(self.name, self.prepare, folder / self.bin, reference, also)


@dataclass(frozen=True)
class Study:
    """A whole study, checked as far as it can be before data are there.

    Args:
        scoring: a key of SCORINGS.
    """

    path: Path
    title: str
    data: Mapping[str, DataSet]
    models: Mapping[str, Model]
    seeds: tuple[int, ...]
    cells: tuple[Cell, ...]
    scoring: str
    evaluate: Mapping[str, Any]
    checkpoint: str
    keep: str

    def settings(self, data: DataSet) -> Any:
        """How the models of a data set are scored; ``data`` has its places filled in."""
        places = {"data": str(data.bin)}
        places |= {} if data.reference is None else {"reference": str(data.reference)}
        also = {"also": [f"{subset}={path}" for subset, path in data.also.items()]}
        return SCORINGS[self.scoring].settings(
            **{**self.evaluate, **places, **(also if data.also else {})}
        )


def read_study(path: str) -> Study:
    """The study in a YAML file.

    Raises ValueError, with file and line, for what is unknown, missing or makes no sense.
    """
    file = Path(path)
    tree = read_yaml(file)
    entries = tree.keys(tuple(FILE), needed_in(FILE))
    # what is relative is relative to the file, wherever a run is started
    base = file.absolute().parent
    models = {n: _model(n, node, base) for n, node in _named(entries["models"])}
    scoring = _scoring(models, entries["models"])
    data = {n: _data(n, node, base, scoring) for n, node in _named(entries["data"])}
    seeds = _seeds(entries.get("seeds"), models)
    return Study(
        path=file,
        title=entries["title"].text if "title" in entries else file.stem,
        data=data,
        models=models,
        seeds=seeds,
        cells=tuple(cells_of(entries["grid"], models, tuple(data), seeds, base)),
        scoring=scoring,
        evaluate=read_settings(entries.get("evaluate"), scoring),
        checkpoint=_one_of(entries.get("checkpoint"), CHECKPOINTS),
        keep=_one_of(entries.get("keep"), KEPT),
    )


def _scoring(models: Mapping[str, Model], node: Node) -> str:
    """How all models are scored; raises ValueError where some translate and some classify."""
    tasks = {name: model.dense.get("task") or TASK for name, model in models.items()}
    for name, task in tasks.items():
        if task.removeprefix("pruned_") in SCORED:
            node.entries[name].fail(
                f"{name} is of the task {task}: a study scores translations and classifiers."
            )
    found = {scoring_of(task): name for name, task in tasks.items()}
    if len(found) > 1:
        node.fail(f"{' and '.join(found.values())} are of tasks that are scored in different ways.")
    return next(iter(found))


def _data(name: str, node: Node, base: Path, scoring: str) -> DataSet:
    entries = node.keys(tuple(DATA), needed_in(DATA))
    script = None
    if "prepare" in entries:
        script = base / entries["prepare"].text
        if not script.is_file():
            entries["prepare"].fail(f"prepare: there is no script {script}.")
    for key in ("reference", "also"):
        if key in entries and scoring != EVALUATE:
            entries[key].fail(f"{key} is for translations, which classifiers have not.")
    # below the folder that the script fills, or relative to the study file
    start = Path() if script else base
    places = [start / entries[n].text if n in entries else None for n in ("bin", "reference")]
    where, reference = (p and Path(os.path.normpath(p)) for p in places)
    assert where is not None
    also = {
        subset: Path(os.path.normpath(start / node.text))
        for subset, node in (entries["also"].entries if "also" in entries else {}).items()
    }
    return DataSet(name, script and script.resolve(), where, reference, also)


def _model(name: str, node: Node, base: Path) -> Model:
    if isinstance(node.value, str):
        return _configured(name, node, node.text, {}, base)
    entries = node.keys(tuple(MODEL))
    own = {key: entries[key] for key in SECTIONS if key in entries}
    if ("config" in entries) == ("checkpoint" in entries):
        node.fail(f"{node.path} needs config, a file of flags, or checkpoint, a trained model.")
    if "config" in entries:
        sections = {key: entry.text for key, entry in own.items()}
        return _configured(name, node, entries["config"].text, sections, base)
    changes = {key: flags_in(entry) for key, entry in own.items()}
    try:
        return read_trained(name, _checkpoints(entries["checkpoint"], base), changes)
    except ValueError as error:
        entries["checkpoint"].fail(str(error))


def _configured(
    name: str, node: Node, config: str, sections: Mapping[str, str], base: Path
) -> Model:
    every = {key: sections.get(key, key) for key in SECTIONS}
    try:
        return read_model(name, Path(os.path.normpath(base / config)), every)
    except ValueError as error:
        node.fail(f"{node.path}: {error}")


def _checkpoints(node: Node, base: Path) -> dict[int | None, Path]:
    """The files of a trained model: one of all seeds (None), or one of each."""
    found: dict[int | None, Node] = {None: node}
    if isinstance(node.value, list):
        found = dict(enumerate(node.items, 1))
    elif isinstance(node.value, dict):
        found = {_seed(key, entry): entry for key, entry in node.value.items()}
    paths = {seed: Path(os.path.normpath(base / one.text)) for seed, one in found.items()}
    for seed, path in paths.items():
        if not path.is_file():
            found[seed].fail(f"checkpoint: there is no file {path}.")
    return paths


def _seed(key: str, node: Node) -> int:
    if not (key.isascii() and key.isdigit() and len(key) < 10):
        node.fail(f"{node.path}: {key!r} is no seed; give {{1: a.pt, 2: b.pt}}.")
    return int(key)


def _seeds(node: Node | None, models: Mapping[str, Model]) -> tuple[int, ...]:
    """The seeds of all blocks: as they are given, those of the checkpoints, or 1."""
    if node is not None:
        return wholes_in(node)
    of_files = [m.files for m in models.values() if isinstance(m, Trained) and not m.has_one_file]
    return tuple(seed for seed in of_files[0] if seed is not None) if of_files else (1,)


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


def _one_of(node: Node | None, known: tuple[str, ...]) -> str:
    return names_in(node, known)[0] if node else known[0]
