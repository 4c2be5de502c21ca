"""What is on disk of a study: a folder a point, with what has been done to it.

    STUDY/study.json            the settings that made it
    STUDY/data/NAME/            data that a script prepared
    STUDY/points/NAME/          point.json  what it is, and the command that makes it
                                made.json   it is trained, or pruned
                                done.json   it is evaluated, too
                                failed.json how it failed, until it is tried again
                                spent.json  the CPU time of its command until now
                                .lock       held by who works on it, and what they started

Every file is written whole or not at all, so that a run may be killed at any moment.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairseq_prune.files.lock import held
from fairseq_prune.files.strict_json import parse
from fairseq_prune.files.writing import write_text

POINTS = "points"


@dataclass(frozen=True)
class Folder:
    """The folder of one point."""

    path: Path

    @property
    def name(self) -> str:
        """The point's name."""
        return self.path.name

    def read(self, name: str) -> dict[str, Any] | None:
        """A file of the folder; None where it is not there, or is not what we wrote."""
        try:
            content = parse((self.path / f"{name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) and _is_whole(name, content) else None

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Write a file of the folder."""
        self.path.mkdir(parents=True, exist_ok=True)
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
        write_text(self.path / f"{name}.json", text + "\n")

    def remove(self, name: str) -> None:
        """Remove a file of the folder, if it is there."""
        (self.path / f"{name}.json").unlink(missing_ok=True)

    @property
    def is_made(self) -> bool:
        """Whether its command has run to its end, and what it left is still there."""
        point = self.read("point")
        made = point is not None and self.read("made") is not None
        return made and (self.path / str(point and point["result"])).is_file()

    @property
    def is_done(self) -> bool:
        """Whether it is made, and evaluated as ``point.json`` says."""
        point, done = self.read("point"), self.read("done")
        if point is None or done is None or not self.is_made:
            return False
        return _deciding(done.get("evaluate")) == _deciding(point["evaluate"])

    @property
    def is_busy(self) -> bool:
        """Whether somebody works on it, here or on another machine that shares the disk."""
        if not (self.path / ".lock").exists():
            return False
        with held(self.path) as descriptor:
            return descriptor is None


def _is_whole(name: str, content: dict[str, Any]) -> bool:
    """Whether a file has what is asked of it; the folder may be anybody's."""
    if not isinstance(content.get("score"), str | None):
        return False
    if not all(
        content.get(n) is None or type(content[n]) in (int, float) for n in ("seconds", "cpu")
    ):
        return False
    kinds: dict[str, Any] = {}
    if name == "point":
        kinds = {"result": str, "evaluate": dict | None}
        file = content.get("file")
        if file is not None and not (isinstance(file, dict) and {"path", "sha256"} <= set(file)):
            return False
    elif name == "failed":
        kinds = {"what": str, "lines": list, "log": str | None}
    elif name == "done":
        kinds = {"evaluate": dict | None}
    return all(key in content and isinstance(content[key], k) for key, k in kinds.items())


def _deciding(settings: dict[str, Any] | None) -> dict[str, str]:
    """The settings without places: a study may move, and its data are known by their digest.

    Nor those that are not there: files that are older than a setting do not name it.
    """
    given = {k: v for k, v in (settings or {}).items() if v not in (None, False, [])}
    if "also" in given:
        given["also"] = [str(one).partition("=")[0] for one in given["also"]]
    return {k: str(v) for k, v in given.items() if k not in ("data", "reference")}


def folder_of(study: Path, name: str) -> Folder:
    """The folder of a point."""
    return Folder(study / POINTS / name)


def folders_in(study: Path) -> list[Folder]:
    """The points that are on disk, by name."""
    points = study / POINTS
    return [Folder(p) for p in sorted(points.iterdir()) if p.is_dir()] if points.is_dir() else []
