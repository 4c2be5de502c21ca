"""What fairseq-prune sensitivity left below a folder: one file for each checkpoint and scheme."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fairseq_prune.files.strict_json import parse
from fairseq_prune.report.identity import PLACING
from fairseq_prune.report.points import SCHEMES
from fairseq_prune.sensitivity.sensitivity_file import FORMAT, KIND

WANTED = 0.9  # of a class, where it was pruned to many sparsities
CURVE = "every class to about 90%"
LARGEST = 16 << 20  # bytes; such a file has some kilobytes
_NAMED = ("scheme", "saliency", "seed")  # by the label, or by the seeds


@dataclass(frozen=True)
class ClassPruned:
    """What pruning one class alone did.

    Args:
        name: of the class.
        ppl_change: of the perplexity.
        largest_removed: the largest magnitude that went; None where none did.
    """

    name: str
    ppl_change: float
    largest_removed: float | None


@dataclass(frozen=True)
class Measured:
    """One pass over the classes of a checkpoint, each pruned alone.

    Args:
        model: its name, as points have it.
        scheme: of the thresholds or shares that were taken.
        label: the scheme and the sparsity asked for, as legends name it.
        rows: one a class.
        command: what measured it.
        seed: of the checkpoint; "" where nothing says it.
        ways: what else decides the numbers: subset, recipe, decoding, data and other tags.
        path: of the file.
    """

    model: str
    scheme: str
    label: str
    rows: Sequence[ClassPruned]
    command: str
    seed: str = ""
    ways: Mapping[str, str] = field(default_factory=dict)
    path: Path = Path()


def find_measured(
    places: Sequence[str], models: dict[str, str], note: Callable[[str], None]
) -> list[Measured]:
    """The measurements below folders, by scheme, then in the order of their paths.

    Args:
        models: the model of each checkpoint, by its path and by its SHA-256, for files without a
            tag that says it.
        note: told of files that cannot be used.
    """
    found = []
    for place in map(Path, places):
        for path in sorted(place.rglob("*.json")) if place.is_dir() else []:
            text = _text(path)
            if KIND not in text:
                continue
            try:
                found.append(_measured(parse(text), path, models))
            except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
                note(f"{path} is left out: it is no whole file of fairseq-prune sensitivity "
                     f"({type(error).__name__}: {str(error)[:80]}).")  # fmt: skip
    found = _told_apart(found, note)
    return sorted(found, key=lambda m: [*SCHEMES, m.scheme].index(m.scheme))


def _told_apart(found: Sequence[Measured], note: Callable[[str], None]) -> list[Measured]:
    """The measurements, with what differs in their labels: one label has its seeds alone."""
    made: list[Measured] = []
    groups: dict[tuple[str, str], list[Measured]] = {}
    for one in found:
        groups.setdefault((one.model, one.label), []).append(one)
    for mine in groups.values():
        every = list(dict.fromkeys(name for one in mine for name in one.ways))
        odd = [name for name in every if len({one.ways.get(name) for one in mine}) > 1]
        seeds: set[tuple[str, str]] = set()
        for one in mine:
            more = [f"{name} {one.ways.get(name, '-')}" for name in odd]
            label = ", ".join([one.label, *more])
            if (label, one.seed) in seeds:
                label = f"{label}, {one.path.parent.name}/{one.path.name}"
                note(f"{one.path} was measured like another file, with the same seed or none: it "
                     "stands apart in figures 4 and 5; give --tag seed=N.")  # fmt: skip
            seeds.add((label, one.seed))
            made.append(replace(one, label=label))
    return made


def _ways(content: Mapping[str, Any]) -> dict[str, str]:
    settings = content.get("settings") or {}
    tags = {k: v for k, v in (content.get("tags") or {}).items() if k not in PLACING}
    flat = {
        "subset": content.get("subset"),
        **{k: v for k, v in (settings.get("recipe") or {}).items() if k not in _NAMED},
        **{k: v for k, v in (settings.get("decoding") or {}).items() if k != "gen_subset"},
        "each": settings.get("each"),
        "data": settings.get("data_digest"),
        **tags,
    }
    return {str(name): str(value) for name, value in flat.items() if value is not None}


def _one_a_class(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The row of each class; of a curve, the one nearest to 90% of the class."""
    found: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: abs(float(row["sparsity"]) - WANTED)):
        found.setdefault(str(row["class"]), row)
    order = dict.fromkeys(str(row["class"]) for row in rows)
    return [found[label] for label in order]


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST:
            return ""
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _measured(content: dict[str, Any], path: Path, models: dict[str, str]) -> Measured:
    if content["kind"] != KIND or content["format"] != FORMAT:
        raise ValueError(f"format {content.get('format')!r}, but this version reads {FORMAT}")
    tags = content.get("tags") or {}
    known = models.get(str(content.get("sha256"))) or models.get(str(content["checkpoint"]))
    model = tags.get("model") or known or path.parent.name
    if tags.get("model") and tags.get("data"):
        model = f"{model}, {tags['data']}"
    rows = [
        ClassPruned(
            str(row["class"]), float(row["ppl_change"]), _number(row.get("largest_removed"))
        )
        for row in _one_a_class(content["rows"])
        if row["ppl_change"] is not None  # more than a float holds
    ]
    scheme = str(content.get("scheme") or CURVE)
    label = scheme
    if content.get("saliency") not in (None, "magnitude"):
        label = f"{content['saliency']}, {label}"
    if content.get("sparsity") is not None:
        label = f"{label}, {100 * float(content['sparsity']):g}%"
    seed = str(tags.get("seed") or "")
    command = str(content.get("command", ""))
    return Measured(str(model), scheme, label, rows, command, seed, _ways(content), path)
