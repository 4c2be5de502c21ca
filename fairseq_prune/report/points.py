"""Points of a study: one number for each model, stage, scheme and sparsity, from results rows."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairseq_prune.analysis import results

# how a model came to be, in the order in which tables and figures show it
STAGES = {
    "dense": "dense",
    "pruned": "pruned",
    "retrained": "pruned + retrained",
    "scratch": "sparse from the beginning",
    "fresh": "pruned before or while training",
    "ticket": "lottery ticket",
}
SCHEMES = ("class-blind", "class-uniform", "class-distribution", "erk", "given", "random")

Place = tuple[str, str, str | None, float]  # model, stage, scheme, percent removed
Key = tuple[str, str, str | None, float, str]  # the same, and the seed


@dataclass(frozen=True)
class Point:
    """One evaluated checkpoint.

    Args:
        model: its name, with that of the data where the rows have one.
        stage: a key of STAGES.
        scheme: the method, as figures name it: who pays how much, with saliency and structure
            where they are not magnitude and weight; "random" for random saliency, None for a
            dense model.
        removed: percent of the prunable weights removed.
        row: all that results say of it.
        seed: of the run; "" where nothing says it.
        folder: that of its results file, where the files that ``row`` names are.
    """

    model: str
    stage: str
    scheme: str | None
    removed: float
    row: Mapping[str, Any]
    seed: str = ""
    folder: Path = Path()

    @property
    def bleu(self) -> float:
        """Corpus BLEU in [0, 100]."""
        return float(self.row["bleu"])

    @property
    def key(self) -> Key:
        """What tells one point of a study from another."""
        return *self.place, self.seed

    @property
    def place(self) -> Place:
        """What points have in common that differ in their seeds only."""
        return self.model, self.stage, self.scheme, self.removed


def find_results(places: Sequence[str]) -> list[Path]:
    """The results files among ``places``: files as given, ``results.jsonl`` below folders.

    Raises ValueError for a place that is neither, or holds none.
    """
    found: list[Path] = []
    for place in map(Path, places):
        files = sorted(place.rglob("results.jsonl")) if place.is_dir() else [place]
        if not files or not all(path.is_file() for path in files):
            raise ValueError(
                f"{place} holds no results.jsonl; give the --output of fairseq-prune evaluate."
            )
        found += files
    return found


def read_points(files: Iterable[Path], notes: list[str] | None = None) -> list[Point]:
    """The points in results files, sorted; of two at the same place the later line counts.

    Args:
        files: as :func:`find_results` gives them.
        notes: is told, a sentence each, what is missing or cannot be read, and the rest is used.

    Raises ValueError where something cannot be read and there are no notes to say it in.
    """
    points: dict[Key, Point] = {}
    for path in files:
        for row in _rows(path, notes):
            try:
                point = _point(row, path)
            except ValueError as error:
                _complain(notes, error)
            else:
                points[point.key] = point
    return sorted(points.values(), key=_order)


def _rows(path: Path, notes: list[str] | None) -> list[results.Row]:
    try:
        rows = results.read(path, notes)
    except ValueError as error:
        _complain(notes, error)
        return []
    if not rows and notes is not None:
        notes.append(f"{path} holds no results yet.")
    return rows


def _complain(notes: list[str] | None, error: ValueError) -> None:
    if notes is None:
        raise error
    if str(error) not in notes:  # many rows of a file have the same fault
        notes.append(str(error))


def _point(row: Mapping[str, Any], path: Path) -> Point:
    tags = row.get("tags") or {}
    model, seed = tags.get("model") or path.absolute().parent.name, tags.get("seed", "")
    if tags.get("data"):
        model = f"{model}, {tags['data']}"
    folder = path.parent
    if not all(isinstance(row.get(name), int | float) for name in ("bleu", "sparsity")):
        raise ValueError(f"{path} has a row without BLEU or sparsity.")
    if not row.get("recipe"):
        return Point(model, "dense", None, 0.0, row, seed, folder)
    stage = tags.get("stage", "pruned")
    if stage not in STAGES:
        raise ValueError(f"{path} has the stage {stage!r}; it must be {' or '.join(STAGES)}.")
    target = row.get("target")
    removed = 100 * float(row["sparsity"] if target is None else target)
    return Point(model, stage, _method(row), round(removed, 4), row, seed, folder)


def _method(row: Mapping[str, Any]) -> str:
    scheme, saliency = row.get("scheme"), row.get("saliency") or "magnitude"
    if scheme is None:
        return "masks of another file"
    parts = [str(scheme)]
    if saliency == "random" and scheme == "class-blind":
        parts = ["random"]
    elif saliency != "magnitude":
        parts.insert(0, str(saliency))
    parts += [str(row[name]) for name in ("structure", "schedule") if row.get(name)]
    return ", ".join(parts)


def _order(point: Point) -> tuple[str, int, int, str, float, str]:
    scheme = point.scheme or ""
    rank = SCHEMES.index(scheme) if scheme in SCHEMES else len(SCHEMES)
    stage = list(STAGES).index(point.stage)
    return point.model, stage, rank, scheme, point.removed, point.seed


def places_of(points: Iterable[Point]) -> dict[Place, list[Point]]:
    """The points of each place, in order: one, or one for each seed."""
    places: dict[Place, list[Point]] = {}
    for point in points:
        places.setdefault(point.place, []).append(point)
    return places


@dataclass(frozen=True)
class Spread:
    """A number over seeds: mean, median, and the sample's standard deviation (None for one)."""

    mean: float
    median: float
    sd: float | None


def spread_of(values: Sequence[float | None]) -> Spread | None:
    """The spread of a number; None without values, or where a seed has none."""
    found = [float(value) for value in values if value is not None]
    if not found or len(found) < len(values):
        return None
    sd = statistics.stdev(found) if len(found) > 1 else None
    return Spread(statistics.fmean(found), statistics.median(found), sd)


def models_of(points: Iterable[Point]) -> list[str]:
    """The models' names, in order, each once."""
    return list(dict.fromkeys(point.model for point in points))


def schemes_of(points: Iterable[Point]) -> list[str]:
    """The schemes' names, in order, each once."""
    return list(dict.fromkeys(point.scheme for point in points if point.scheme))


def select(
    points: Iterable[Point], model: str, stage: str, scheme: str | None = None
) -> list[Point]:
    """The points of a model at a stage, of one scheme or of all, by what is removed."""
    chosen = [p for p in points if p.model == model and p.stage == stage]
    chosen = [p for p in chosen if scheme is None or p.scheme == scheme]
    return sorted(chosen, key=lambda p: p.removed)


def dense_of(points: Iterable[Point], model: str) -> Point | None:
    """The dense model's point, or None."""
    return next(iter(select(points, model, "dense")), None)
