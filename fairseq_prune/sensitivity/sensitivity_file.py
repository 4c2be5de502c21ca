"""A result that is written anew after each of its parts, so that a run that was cut goes on."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fairseq_prune.files.strict_json import differences, is_number, parse
from fairseq_prune.files.writing import write_text

Row = dict[str, Any]

KIND, FORMAT = "fairseq_prune sensitivity", 1  # what the file says it is

# what must be the same for two runs to be one measurement, wherever the checkpoint lies
_SAME = ("kind", "format", "sha256", "tags", "scheme", "saliency", "sparsity", "subset", "settings")


_NUMBER = float | int  # see is_number
_DENSE: dict[str, Any] = dict.fromkeys(("ppl", "nll", "bleu"), _NUMBER | None)
_ROW: dict[str, Any] = {
    "class": str,
    **dict.fromkeys(("weights", "removed"), int),
    "sparsity": _NUMBER,
    **dict.fromkeys(("largest_removed", "ppl_change", "bleu_change"), _NUMBER | None),
    **_DENSE,
}


class Unfinished:
    """One row for each weight class and count removed, and the dense model's numbers.

    Args:
        head: the result without its rows.
        output: the file, or None to keep it in memory.
        force: begin anew whatever is in the file.

    Raises ValueError where the file is something else, or was begun with other settings.
    """

    def __init__(self, head: Row, output: str | None, force: bool) -> None:
        self._path = None if output is None else Path(output)
        self.content: Row = json.loads(json.dumps(head))
        if self._path is not None and self._path.exists() and not force:
            stored = _read(self._path)
            _check_same(self._path, self.content, stored)
            self.content.update(dense=stored["dense"], rows=stored["rows"])

    @property
    def dense(self) -> Any:
        """The dense model's numbers, or None while they are not known."""
        return self.content["dense"]

    def set_dense(self, numbers: Row) -> None:
        """Store the dense model's numbers."""
        self.content["dense"] = {name: numbers[name] for name in ("ppl", "nll", "bleu")}
        self._write()

    def has(self, label: str, removed: int) -> bool:
        """Whether this row is known."""
        return any((row["class"], row["removed"]) == (label, removed) for row in self._rows)

    def add(self, row: Row, labels: Sequence[str]) -> None:
        """Store a row, in its place: by class in the order of ``labels``, then by count."""
        self._rows.append(row)
        places = {label: place for place, label in enumerate(labels)}
        self._rows.sort(key=lambda r: (places.get(r["class"], len(places)), r["removed"]))
        self._write()

    @property
    def _rows(self) -> list[Row]:
        rows: list[Row] = self.content["rows"]
        return rows

    def _write(self) -> None:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_text(self._path, json.dumps(self.content, indent=1, allow_nan=False) + "\n")


def _read(path: Path) -> Row:
    try:
        stored = parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        stored = None
    if not _is_whole(stored):
        raise ValueError(
            f"--output {path} is no result of fairseq-prune sensitivity; give --force to replace "
            "it."
        )
    return stored


def _is_whole(stored: Any) -> bool:
    if not isinstance(stored, dict) or not {*_SAME, "dense", "rows"} <= set(stored):
        return False
    if not isinstance(stored["rows"], list) or not isinstance(stored["dense"], dict | None):
        return False
    if not all(isinstance(row, dict) and _has(row, _ROW) for row in stored["rows"]):
        return False
    return stored["dense"] is None or _has(stored["dense"], _DENSE)


def _has(row: Row, kinds: Mapping[str, Any]) -> bool:
    """Whether all of these are there, and of their kinds."""
    return all(
        name in row
        and isinstance(row[name], kind)
        and (not isinstance(row[name], int | float) or is_number(row[name]))
        for name, kind in kinds.items()
    )


def _check_same(path: Path, here: Row, there: Row) -> None:
    changed = differences(*({key: row[key] for key in _SAME} for row in (here, there)))
    if changed:
        raise ValueError(
            f"--output {path} was begun with other settings: {changed}. Repeat those to go on, "
            "or give --force to begin anew."
        )
