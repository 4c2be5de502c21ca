"""Points of a study: one number for each model, stage, scheme and sparsity, from results rows; and
what those have in common that differ in their seeds only."""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairseq_prune.evaluation import results
from fairseq_prune.exports import CTRANSLATE2, INT8
from fairseq_prune.files.table import number
from fairseq_prune.report.identity import Reading, read_row
from fairseq_prune.report.naming import name_all
from fairseq_prune.study.stages import STAGES, Stage

# the 97.5% quantiles of Student's t, of 1 to 30 degrees of freedom
STUDENT = (
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
    2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860,
    2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423,
)  # fmt: skip
EXPORTS = {
    "compact": "a compact file",
    CTRANSLATE2: "a folder of CTranslate2",
    INT8: "an LSTM in 8 bits",
}  # by form
SCHEMES = ("class-blind", "class-uniform", "class-distribution", "erk", "given", "random")

Place = tuple[str, str, str | None, float]  # model, stage, scheme, percent removed
PointKey = tuple[str, str, str | None, float, str]  # the same, and the seed


@dataclass(frozen=True)
class Point:
    """One evaluated checkpoint: of a study's points (study.point.Point), or any other.

    Args:
        model: its name, with that of the data where the rows have one, and with data and decoding
            where it was evaluated in several ways.
        stage: a key of STAGES.
        scheme: the method, as figures name it: who pays how much, with saliency and structure
            where they are not magnitude and weight, and with all else that tells it from others of
            the model; "random" for random saliency, None for a dense model.
        removed: percent of the prunable weights that is removed; the mean over the seeds of a
            place.
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
    def kind(self) -> Stage:
        """What the stage is."""
        return STAGES[self.stage]

    @property
    def score(self) -> float:
        """Corpus BLEU, or a classifier's accuracy, in [0, 100]."""
        return float(self.row[results.score_of(self.row)])

    @property
    def has_text(self) -> bool:
        """Whether it has translations, which a classifier has not."""
        return self.row.get("bleu") is not None

    @property
    def measure(self) -> str:
        """What the score is, for people."""
        return results.SCORES[results.score_of(self.row)]

    @property
    def processor(self) -> str:
        """What it was measured on; "" where an earlier version did not say it."""
        return " ".join(str(self.row.get("processor") or "").split())

    @property
    def reached(self) -> float:
        """Percent of the prunable weights that this checkpoint itself has removed."""
        return round(100 * float(self.row["sparsity"]), 2)

    @property
    def export(self) -> str:
        """What it is where it is no checkpoint; "" else, and for rows that do not say it."""
        return EXPORTS.get(str(self.row.get("form")), "")

    @property
    def asked(self) -> str:
        """The percentage asked for, and of what; "" where nothing says it."""
        return self._asked("")

    def _asked(self, sign: str) -> str:
        target, structure = self.row.get("target"), str(self.row.get("structure") or "")
        if target is None:
            return ""
        # N:M structures count weights, the others what they remove together
        of = f" of {structure}" if structure and not structure[0].isdigit() else ""
        return f"{round(100 * float(target), 4):g}{sign}{of}"

    @property
    def percent(self) -> str:
        """What is removed, with what was asked where that differs, without the sign %."""
        return self._removed("")

    @property
    def share(self) -> str:
        """The same for a sentence: "50%", "50% of ffn+heads" or "9% (asked 50% of heads)"."""
        return self._removed("%")

    def _removed(self, sign: str) -> str:
        asked, removed = self._asked(sign), f"{self.removed:g}{sign}"
        if asked.startswith(f"{removed} of "):
            return asked
        return removed if asked in ("", removed) else f"{removed} (asked {asked})"

    @property
    def label(self) -> str:
        """Stage, method and what is removed; of a dense model the stage alone."""
        if self.kind.is_dense:
            return self.kind.label
        name = f"{self.kind.label}, {self.scheme}"
        return f"{name}, {self.share}" if self.kind.removes or self.removed else name

    @property
    def key(self) -> PointKey:
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
    return list({path.resolve(): path for path in found}.values())


def read_points(files: Iterable[Path], notes: list[str] | None = None) -> list[Point]:
    """The points in results files, sorted; of two of one measurement the later line counts.

    Args:
        files: as :func:`find_results` gives them.
        notes: is told, a sentence each, what is missing or cannot be read, what is left out or
            replaced, and what needs a name to be told apart; the rest is used.

    Raises ValueError where something cannot be read and there are no notes to say it in.
    """
    told: list[str] = []
    named = name_all(_readings(files, notes), told.append)
    if notes is not None:
        notes += told
    points = [
        Point(r.model, r.stage, r.scheme, r.removed, r.said.row, r.said.seed, r.said.path.parent)
        for r in named
    ]
    return sorted(points, key=_order)


def _readings(files: Iterable[Path], notes: list[str] | None) -> list[Reading]:
    """The rows, the last of each measurement; ``notes`` are told of all others."""
    found: dict[str, Reading] = {}
    left, again, replaced = 0, 0, []
    for path in dict.fromkeys(files):
        for row in _rows(path, notes):
            try:
                said = read_row(row, path)
            except ValueError as error:
                _complain(notes, error)
                left += 1
                continue
            old = found.pop(said.identity, None)
            if old is not None and _score(old) != _score(said):
                replaced.append(_replaced(old, said))
            elif old is not None:
                again += 1
            found[said.identity] = said
    if notes is not None:
        notes += replaced
        notes += [f"{left} rows are left out."] if left else []
        notes += [f"{len(replaced)} rows are replaced."] if len(replaced) > 1 else []
        notes += [f"{again} rows are there twice, with the same score."] if again else []
    return list(found.values())


def _replaced(old: Reading, new: Reading) -> str:
    what = results.SCORES[results.score_of(new.row)]
    before, after = (f"{said.file} ({what} {_score(said):.2f})" for said in (old, new))
    return (
        f"{old.model}: {before} is replaced by the later {after}, which has the same recipe, tags, "
        "data and decoding."
    )


def _score(said: Reading) -> float:
    return float(said.row[results.score_of(said.row)])


def _rows(path: Path, notes: list[str] | None) -> list[results.Row]:
    try:
        rows = results.read(path, notes, score=None)
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


def which_seed(point: Point, points: Iterable[Point]) -> str:
    """ ", seed 1 of 3 seeds" for what shows one seed of several; else empty."""
    count = sum(p.place == point.place for p in points)
    if count < 2:
        return ""
    if not point.seed:
        return f", of {count} seeds the one without --tag seed"
    return f", seed {point.seed} of {count} seeds"


def measure_of(points: Iterable[Point]) -> str:
    """What the scores are."""
    return " or ".join(dict.fromkeys(point.measure for point in points))


def weights_of(point: Point) -> float | None:
    """The parameters that are not zero; rows of earlier versions say what masks remove."""
    row = point.row
    if row.get("nonzero") is not None:
        return float(row["nonzero"])
    if row.get("parameters") is None or row.get("removed") is None:
        return None
    return float(row["parameters"] - row["removed"])


def multiply_adds_of(point: Point) -> float | None:
    """The multiply-adds that zeros leave: for a source and a target token, or an average text."""
    pair = point.row.get("multiply_adds")
    return None if pair is None else float(pair[1])


def times_less(
    points: Iterable[Point], members: Sequence[Point], of: Callable[[Point], float | None]
) -> float | None:
    """How often what members of a place have goes into what the dense models of theirs have.

    Args:
        points: among them the dense models.
        of: what of; the result is None where a row does not say it, or there is nothing left.
    """
    dense = [p for p in points if p.kind.is_dense and p.model == members[0].model]
    whole, left = ([of(p) for p in some] for some in (dense, members))
    if not whole or None in whole or None in left or not any(left):
        return None
    return statistics.fmean(map(float, whole)) / statistics.fmean(map(float, left))  # type: ignore[arg-type]


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
    return next((p for p in points if p.model == model and p.kind.is_dense), None)


@dataclass(frozen=True)
class Spread:
    """A number over seeds.

    Args:
        values: one a seed, ascending; one at least.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The arithmetic mean."""
        return statistics.fmean(self.values)

    @property
    def median(self) -> float:
        """The value in the middle."""
        return statistics.median(self.values)

    @property
    def sd(self) -> float | None:
        """The standard deviation, n - 1 in the denominator; None for one seed."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95% confidence interval of the mean by Student's t; None for one value."""
        if self.sd is None:
            return None
        freedom = len(self.values) - 1
        t = STUDENT[min(freedom, len(STUDENT)) - 1]  # for more than 31 values a little too wide
        half = t * self.sd / math.sqrt(len(self.values))
        return self.mean - half, self.mean + half

    def quantile(self, share: float) -> float:
        """By linear interpolation between the values; 0.5 is the median."""
        at = share * (len(self.values) - 1)
        low = self.values[int(at)]
        high = self.values[min(int(at) + 1, len(self.values) - 1)]
        return low + (high - low) * (at - int(at))

    def text(self, digits: int, signed: bool = False) -> str:
        """The mean, and of several seeds the standard deviation.

        Args:
            signed: whether a mean above zero has a sign.
        """
        mean = number(self.mean, digits)
        if signed and not mean.startswith("-"):
            mean = f"+{mean}"
        return mean if self.sd is None else f"{mean} ± {number(self.sd, digits)}"


def over(values: Iterable[float]) -> Spread:
    """The spread of a number that every seed has."""
    return Spread(tuple(sorted(values)))


def spread_of(values: Sequence[float | None]) -> Spread | None:
    """The spread of a number; None without values, or where a seed has none."""
    found = [float(value) for value in values if value is not None]
    return over(found) if found and len(found) == len(values) else None


def scores_of(points: Sequence[Point]) -> Spread:
    """The spread of the score over points, one at least."""
    return over(point.score for point in points)


def counted(label: str, counts: Sequence[int]) -> str:
    """The label, with the number of seeds where they are several: "dense (n=2-3)"."""
    few, many = min(counts), max(counts)
    return label if many == 1 else f"{label} (n={few if few == many else f'{few}-{many}'})"


def averages(points: Sequence[Point]) -> dict[float, Spread]:
    """The spread of the score for each percentage removed, ascending."""
    groups: dict[float, list[Point]] = {}
    for point in points:
        groups.setdefault(point.removed, []).append(point)
    return {removed: scores_of(groups[removed]) for removed in sorted(groups)}
