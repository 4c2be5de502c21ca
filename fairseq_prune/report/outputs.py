"""Translations and their test sets, read back from beside the results."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fairseq_prune.evaluation.sentences import Sentence, read_sentences, sentences_file
from fairseq_prune.files.text import listed
from fairseq_prune.files.writing import inside
from fairseq_prune.report.points import Point, PointKey

NAMED = 3  # files that a note names before it counts the rest


@dataclass(frozen=True)
class Reference:
    """A test set: its name, its sentences, and a digest of the references."""

    name: str
    sentences: Sequence[Sentence]
    digest: str


@dataclass(frozen=True)
class Output:
    """What one model made of a test set: a line a sentence, and a digest of them."""

    lines: Sequence[str]
    digest: str
    reference: Reference


def read_outputs(points: Iterable[Point], notes: list[str]) -> dict[PointKey, Output]:
    """The outputs of the points that have them; ``notes`` are told what is missing."""
    points = list(points)
    missing: dict[str, list[str]] = {}
    references = _references(points, missing)
    found: dict[PointKey, Output] = {}
    for point in points:
        try:
            lines, digest = _lines(point)
        except ValueError as error:
            missing.setdefault(str(error), []).append(_name(point))
            continue
        reference = references.get(sentences_file(point.row))
        if reference is None:
            continue
        if len(lines) != len(reference.sentences):
            what = "Translations with another number of lines than the test set"
            missing.setdefault(what, []).append(_name(point))
            continue
        found[point.key] = Output(lines, digest, reference)
    notes += [
        f"{what}: {listed(names, NAMED)}; what needs them is left out."
        for what, names in missing.items()
    ]
    return found


def _references(points: Sequence[Point], missing: dict[str, list[str]]) -> Mapping[str, Reference]:
    """Test sets by name: the first whole file of that name beside any of the results."""
    places: dict[str, dict[Path, None]] = {}
    for point in points:
        places.setdefault(sentences_file(point.row), {})[point.folder] = None
    found: dict[str, Reference] = {}
    for name, folders in places.items():
        paths = [path for folder in folders if (path := inside(folder, name)) is not None]
        for path in paths:
            try:
                sentences = read_sentences(path)
            except ValueError as error:
                missing.setdefault("Test sets that cannot be read", []).append(str(error))
                continue
            found[name] = Reference(name, sentences, _digest(s.reference for s in sentences))
            break
        else:
            what = "No source and reference beside results (evaluate writes them with new rows)"
            missing.setdefault(what, []).extend(map(str, folders))
    return found


def _lines(point: Point) -> tuple[list[str], str]:
    name = point.row.get("hypotheses")
    path = inside(point.folder, str(name or ""))
    if path is None:
        raise ValueError("Rows without translations on disk")
    content = path.read_bytes()
    try:
        lines = content.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise ValueError("Translations that are no text") from None
    if lines.pop():
        raise ValueError("Translations that were cut off")
    return lines, hashlib.sha256(content).hexdigest()[:16]


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _name(point: Point) -> str:
    return str(point.folder / str(point.row.get("hypotheses") or point.row.get("checkpoint")))
