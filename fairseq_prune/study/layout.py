"""A study laid out in a folder: its points written down, and the folder found to be its own."""

import json
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fairseq_prune.files.strict_json import parse
from fairseq_prune.files.writing import write_text
from fairseq_prune.study import data as data_sets
from fairseq_prune.study.folder import POINTS, Folder, folder_of, folders_in
from fairseq_prune.study.grid import points_of
from fairseq_prune.study.point import Point
from fairseq_prune.study.scoring import EVALUATE
from fairseq_prune.study.settings import DataSet, Study
from fairseq_prune.study.stages import STAGES, before, command_of, result_of

_SETTINGS = "study.json"


@dataclass(frozen=True)
class Laid:
    """A study in its folder.

    Args:
        root: the folder.
        points: in an order in which they can be made.
        folders: by the points' names.
    """

    study: Study
    root: Path
    points: tuple[Point, ...]
    folders: Mapping[str, Folder]

    @property
    def strangers(self) -> list[Folder]:
        """Folders of points that the study does not have."""
        found = [f for f in folders_in(self.root) if f.name not in self.folders]
        return [folder for folder in found if (folder.path / "point.json").is_file()]


def look(study: Study, root: Path) -> Laid:
    """The study's points and where they belong; nothing is written."""
    root = Path(os.path.abspath(root))  # runs started elsewhere may work in it, too
    points = tuple(points_of(study))
    return Laid(study, root, points, {p.name: folder_of(root, p.name) for p in points})


def check_folder(laid: Laid) -> None:
    """Raise ValueError where the folder is of something else, or has points of other settings."""
    root = laid.root
    if root.exists() and not root.is_dir():
        raise ValueError(f"--output {root} is a file; give the name of a folder.")
    if not root.is_dir():
        return
    own = (POINTS, "data", "report", "submitit")
    # a file that begins with a dot may be what a killed run was writing
    others = [p.name for p in root.iterdir() if p.name not in own and p.name[0] != "."]
    if others and not (root / _SETTINGS).is_file():
        raise ValueError(f"--output {root} holds other files already; give a new folder.")
    strange = laid.strangers
    _check_files(laid, strange)
    if strange:
        words = ["fairseq-prune", "study", "clean", str(laid.study.path), "--output", str(root)]
        raise ValueError(
            f"{root} has {len(strange)} points that {laid.study.path} does not ask for, such as "
            f"{strange[0].name}: its settings were others. Choose another --output, or let "
            f"{shlex.join(words)} remove them."
        )


def _check_files(laid: Laid, strange: Sequence[Folder]) -> None:
    """Raise ValueError where points are of a checkpoint that has become another one."""
    now = {str(file.path): file.digest for p in laid.points if (file := p.file) is not None}
    for folder in strange:
        noted = (folder.read("point") or {}).get("file") or {}
        path, digest = str(noted.get("path")), str(noted.get("sha256"))
        if now.get(path, digest) != digest:
            raise ValueError(
                f"{laid.root} was made of another {path} (SHA-256 {digest[:8]}..., now it is "
                f"{now[path][:8]}...): choose another --output, or bring the old file back."
            )


def lay(laid: Laid, say: Callable[[str], None]) -> None:
    """Prepare the data, and write every point's point.json.

    Raises ValueError where the data are not there, or are not those that the folder was made of.
    """
    laid.root.mkdir(parents=True, exist_ok=True)
    sets = data_sets.prepare(laid.study, laid.root, say)
    _check_data(laid, sets)
    for point in laid.points:
        folder, content = laid.folders[point.name], _content(laid, point, sets[point.data])
        if folder.read("point") != content:
            folder.write("point", content)


def _content(laid: Laid, point: Point, data: DataSet) -> dict[str, Any]:
    study = laid.study
    settings = study.settings(data)
    # on which processor, each worker is told
    evaluated = {k: v for k, v in asdict(settings).items() if k != "cpu"}
    stage = STAGES[point.stage]
    tags = {"model": point.model, "data": point.data, "stage": stage.shown_as or point.stage}
    seed = {} if point.seed is None else {"seed": str(point.seed)}
    content = {
        "name": point.name,
        "command": command_of(point, lambda one: laid.folders[one.name].path, settings.data),
        "result": result_of(point),
        "evaluate": evaluated if stage.evaluated else None,
        "tags": {**tags, **seed, **dict(point.tags)},
        "keep": study.keep,
    }
    file = [point, *before(point)][-1].file
    if file is not None:  # before each use the file is looked at again
        content["file"] = {"path": str(file.path), "sha256": file.digest}
    # earlier versions knew no other
    return content if study.scoring == EVALUATE else {**content, "scoring": study.scoring}


def _check_data(laid: Laid, sets: Mapping[str, DataSet]) -> None:
    """The data of a folder stay the same; what the study adds may be new."""
    file = laid.root / _SETTINGS
    now = {name: data_sets.digest(data) for name, data in sets.items()}
    before = _data_before(file)
    for name, digest in now.items():
        if before.get(name, digest) != digest:
            raise ValueError(
                f"{laid.root} was made of other data {name} than {sets[name].bin} has now: choose "
                "another --output, or bring the old data back."
            )
    content = {"study": str(laid.study.path), "title": laid.study.title, "data": {**before, **now}}
    write_text(file, json.dumps(content, indent=1) + "\n")


def _data_before(file: Path) -> dict[str, str]:
    if not file.is_file():
        return {}
    try:
        return {str(k): str(v) for k, v in parse(file.read_bytes())["data"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(
            f"{file} is damaged; if the data are still those of the runs there, remove it."
        ) from None
