"""What a study file asks for, checked: data, models, and the cells of its grid."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairseq_prune.study.blocks import Cell, cells_of, names_in, wholes_in
from fairseq_prune.study.document import Node, read_yaml
from fairseq_prune.study.model_file import TASK, Model, read_model
from fairseq_prune.study.point import CHECKPOINTS
from fairseq_prune.study.scoring import EVALUATE, SCORINGS, read_settings, scoring_of

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
    top = ("title", "data", "models", "seeds", "grid", "evaluate", "checkpoint", "keep")
    entries = tree.keys(top, needed=("data", "models", "grid"))
    # what is relative is relative to the file, wherever a run is started
    base = file.absolute().parent
    models = {n: _model(n, node, base) for n, node in _named(entries["models"])}
    scoring = _scoring(models, entries["models"])
    data = {n: _data(n, node, base, scoring) for n, node in _named(entries["data"])}
    seeds = wholes_in(entries.get("seeds")) or (1,)
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
    found = {scoring_of(m.dense.get("task") or TASK): name for name, m in models.items()}
    if len(found) > 1:
        node.fail(f"{' and '.join(found.values())} are of tasks that are scored in different ways.")
    return next(iter(found))


def _data(name: str, node: Node, base: Path, scoring: str) -> DataSet:
    entries = node.keys(("prepare", "bin", "reference", "also"), needed=("bin",))
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
    sections = {"dense": "dense", "retrain": "retrain"}
    if isinstance(node.value, str):
        config = node.text
    else:
        entries = node.keys(("config", *sections), needed=("config",))
        config = entries["config"].text
        sections |= {key: entries[key].text for key in sections if key in entries}
    try:
        return read_model(name, Path(os.path.normpath(base / config)), sections)
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


def _one_of(node: Node | None, known: tuple[str, ...]) -> str:
    return names_in(node, known)[0] if node else known[0]
