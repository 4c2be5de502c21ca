"""Where the files are that results name: as named, or where their folder has been moved to."""

from collections.abc import Sequence
from pathlib import Path

from fairseq_prune.analysis.files import listed
from fairseq_prune.masks.storage import CheckpointError
from fairseq_prune.pruning.opened import Opened, open_checkpoint


class Places:
    """Finds what rows of results point at, opens it, and notes what cannot be used.

    Args:
        roots: the folders that are reported, or results files in them.
    """

    def __init__(self, roots: Sequence[str]) -> None:
        self._roots = [p if p.is_dir() else p.parent for p in map(Path, roots)]
        self._opened: dict[str, Opened | None] = {}
        self._missing: list[str] = []
        self._notes: list[str] = []

    def find(self, path: str) -> Path | None:
        """The file of that path: there, or below a root by the end of its path, or None.

        A checkpoint need not lie beside its results, so that a path may lead anywhere: what is
        there is opened as a checkpoint, or read for the losses of a log, and never shown.
        """
        named = Path(path)
        if _is_file(named):
            return named
        parts = [part for part in named.parts if part != ".."]
        # from the longest end on, as a file's bare name says little
        for start in range(len(parts) - 1):
            for root in self._roots:
                moved = root.joinpath(*parts[start:])
                if start and _is_file(moved):
                    return moved
        return None

    def beside(self, path: str, name: str) -> Path | None:
        """A file of that name in the folder of a path, which itself need not be there."""
        own = Path(path).name
        return self.find(str(Path(path).with_name(name))) if own not in ("", "..") else None

    def open(self, path: str) -> Opened | None:
        """The checkpoint, its last one kept open; None, and a note, where it cannot be read."""
        if path not in self._opened:
            self._opened = {path: self._open(path)}
        return self._opened[path]

    def _open(self, path: str) -> Opened | None:
        found = self.find(path)
        if found is None:
            self._missing.append(path)
            return None
        try:
            return open_checkpoint(str(found))
        except (CheckpointError, ValueError) as error:
            self.note(f"A checkpoint is left out: {error}")
            return None

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
