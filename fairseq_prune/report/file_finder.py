"""Where the files are that results name: as named, or where their folder has been moved to."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from fairseq_prune.checkpoints.checkpoint import Opened
from fairseq_prune.checkpoints.storage import CheckpointError
from fairseq_prune.files.text import listed
from fairseq_prune.files.writing import file_digest
from fairseq_prune.report.points import Point
from fairseq_prune.tasks.opening import open_checkpoint

_DIGEST = re.compile(r"[0-9a-f]{64}")


class FileFinder:
    """Finds what rows of results point at, opens it, and notes what cannot be used.

    Args:
        roots: the folders that are reported, or results files in them.
    """

    def __init__(self, roots: Sequence[str]) -> None:
        self._roots = [p if p.is_dir() else p.parent for p in map(Path, roots)]
        self._opened: dict[str, Opened | None] = {}
        self._missing: list[str] = []
        self._notes: list[str] = []

    def find(self, path: str, folder: Path | None = None) -> list[Path]:
        """The files that may be meant by that path, the likeliest first.

        It is looked for from the folder of the results that name it, from the current folder and
        from those above the results, for rows of versions that kept paths as they were typed, and
        then below a root by the end of its path.

        A checkpoint need not lie beside its results, so that a path may lead anywhere: what is
        there is opened as a checkpoint, or read for the losses of a log, and never shown.

        Args:
            folder: that of the results file.
        """
        named = Path(path)
        above = [] if folder is None else [folder.absolute(), *folder.absolute().parents]
        tried = [place / named for place in (*above[:1], Path(), *above[1:])]
        parts = [part for part in named.parts if part != ".."]
        # from the longest end on, as a file's bare name says little
        for start in range(1, len(parts) - 1):
            tried += [root.joinpath(*parts[start:]) for root in self._roots]
        found: dict[Path, Path] = {}
        for file in filter(_is_file, tried):
            found.setdefault(file.resolve(), _plain(file))
        return list(found.values())

    def beside(self, point: Point, name: str) -> Path | None:
        """A file of that name in the folder of a point's checkpoint, which need not be there."""
        path = Path(str(point.row.get("checkpoint") or ""))
        if path.name in ("", ".."):
            return None
        found = self.find(str(path.with_name(name)), point.folder)
        if len(found) > 1:  # that beside the very file
            own = [p for p in found if _is_it(p.with_name(path.name), point)]
            found = own or found
        return next(iter(found), None)

    def open(self, point: Point) -> Opened | None:
        """The checkpoint of a point, the last one kept open; None, and a note, where it cannot be
        read, or is another file than was evaluated."""
        path = str(point.row.get("checkpoint") or "")
        key = str(point.folder / path)
        if key not in self._opened:
            self._opened = {key: self._open(point, path)}
        return self._opened[key]

    def _open(self, point: Point, path: str) -> Opened | None:
        every = self.find(path, point.folder)
        if not every:
            self._missing.append(path)
            return None
        found = next((file for file in every if _is_it(file, point)), None)
        if found is None:
            self.note(f"{every[0]} is another file than when it was evaluated: it is not shown.")
            return None
        try:
            return open_checkpoint(str(found))
        except (CheckpointError, ValueError) as error:
            self.note(f"Figures 7, 9 and 10 cannot show a checkpoint: {error}")
            return None

    def note_export(self, point: Point, figures: str) -> bool:
        """Whether the point is an export, of which ``figures`` cannot be drawn: a note then."""
        if point.export:
            name = Path(str(point.row.get("checkpoint"))).name
            self.note(
                f"{figures} drawn from checkpoints only, and {name} is {point.export}: evaluate "
                "the checkpoint that it was made of into this folder, too."
            )
        return bool(point.export)

    def note(self, sentence: str) -> None:
        """Say this once."""
        if sentence not in self._notes:
            self._notes.append(sentence)

    @property
    def notes(self) -> list[str]:
        """All that has been noted, missing checkpoints in one sentence."""
        gone = [path for path in dict.fromkeys(self._missing) if path]
        if not gone:
            return list(self._notes)
        return [f"Checkpoints that are not there (any more): {listed(gone, 2)}.", *self._notes]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _plain(path: Path) -> Path:
    """The path without "..", unless that leads elsewhere, as behind a symbolic link."""
    plain = Path(os.path.normpath(path))
    return plain if plain.resolve() == path.resolve() else path


def _is_it(path: Path, point: Point) -> bool:
    """Whether the file is the one that was evaluated, as far as the row says."""
    digest = str(point.row.get("sha256") or "")
    return not _DIGEST.fullmatch(digest) or (_is_file(path) and file_digest(path) == digest)
