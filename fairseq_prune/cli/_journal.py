"""A folder of several trainings: its settings, what is finished in it, and who works in it."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fairseq_prune.files.lock import held
from fairseq_prune.files.strict_json import differences, parse
from fairseq_prune.files.writing import write_text

Row = dict[str, Any]


class Journal:
    """NAME.json with the settings and NAME.jsonl with a line for each part that is finished.

    Args:
        folder: made where it is not there.
        name: of the two files.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self._settings, self._rows = folder / f"{name}.json", folder / f"{name}.jsonl"

    def check_folder(self) -> None:
        """Raise ValueError where the folder is none, or holds other things already."""
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"--output {self.folder} is a file; give the name of a folder.")
        # a dot begins the lock, and what a killed run was writing
        others = self.folder.is_dir() and any(p.name[0] != "." for p in self.folder.iterdir())
        if others and not self._settings.is_file():
            raise ValueError(
                f"--output {self.folder} holds other files already; give a new folder."
            )

    @contextmanager
    def working(self, settings: Mapping[str, Any], begun: bool = True) -> Iterator[int]:
        """Hold the folder for a run with these settings; gives the descriptor that holds it.

        Args:
            begun: whether there is anything in it that other settings would not go on with.

        Raises ValueError where another run holds it, or it was begun with other settings.
        """
        with held(self.folder) as descriptor:
            if descriptor is None:
                raise ValueError(
                    f"another run, or a fairseq-train that one left behind, is at work in "
                    f"{self.folder}; wait for it, or choose another --output."
                )
            self._check_settings(settings, begun)
            yield descriptor

    def _check_settings(self, settings: Mapping[str, Any], begun: bool) -> None:
        if not begun or not self._settings.is_file():
            write_text(self._settings, json.dumps(settings, indent=1) + "\n")
            return
        changed = differences(settings, self._read(self._settings))
        if changed:
            raise ValueError(
                f"{self.folder} was begun with other settings: {changed}. Repeat those to go "
                "on, or choose another --output."
            )

    def _read(self, path: Path) -> Row:
        with self._complaining(path):
            found = parse(path.read_text(encoding="utf-8"))
            if not isinstance(found, dict):
                raise ValueError("it has no names")
        return found

    @contextmanager
    def _complaining(self, path: Path) -> Iterator[None]:
        try:
            yield
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{path} is damaged ({type(error).__name__}: {error}); choose another --output, or "
                "remove this one."
            ) from None

    def rows(self, use: Callable[[Row], Any] = lambda row: None) -> list[Row]:
        """What is finished.

        Args:
            use: what will be done with each row, tried out here.

        Raises ValueError where the file is damaged.
        """
        if not self._rows.is_file():
            return []
        with self._complaining(self._rows):
            rows = [parse(line) for line in self._rows.read_text(encoding="utf-8").splitlines()]
            if not all(isinstance(row, dict) for row in rows):
                raise ValueError("a line is no row")
            for row in rows:
                use(row)
        return rows

    def add(self, row: Row) -> None:
        """Say that a part is finished; all lines are written anew, in one step."""
        lines = [json.dumps(one, allow_nan=False) for one in (*self.rows(), row)]
        write_text(self._rows, "\n".join(lines) + "\n")
