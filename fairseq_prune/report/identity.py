"""What a row of results is of: the model, how it came to be, and how it was decoded.

Two rows are the same measurement where all of it agrees; nothing else is merged.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fairseq_prune.evaluation.results import score_of
from fairseq_prune.study.stages import DENSE, PRUNED, STAGES, TAGS

PLACING = ("model", "data", "stage", "seed")  # tags that say where a row belongs
# parts of a signature that a place, a method's name or a file says
_ELSEWHERE = ("sparsity", "saliency", "structure", "schedule", "seed", "mask_from", "given")


@dataclass(frozen=True)
class Reading:
    """A row of results, read.

    Args:
        row: as evaluate wrote it.
        path: of its results file.
        stage: a key of STAGES, as its tag says, or its file where there is none.
    """

    row: Mapping[str, Any]
    path: Path
    stage: str

    @cached_property
    def tags(self) -> Mapping[str, str]:
        """What --tag said."""
        return self.row.get("tags") or {}

    @property
    def is_tagged_dense(self) -> bool:
        """Whether a tag says that it is the dense model."""
        tag = self.tags.get("stage")
        return tag is not None and STAGES[tag].is_dense

    @property
    def model(self) -> str:
        """The model's name, with that of the data where a tag has it."""
        return model_of(self.row, self.path.parent)

    @property
    def own(self) -> str:
        """The stage that the file itself tells; rows of earlier versions do not say it."""
        return own_stage(self.row, self.stage)

    @property
    def seed(self) -> str:
        """Of the run, or that of random choices; "" where nothing says it."""
        return self.tags.get("seed") or self.parts.get("seed", "")

    @cached_property
    def parts(self) -> dict[str, str]:
        """The recipe's settings that are not at their default, by name."""
        signature = str(self.row.get("method") or self.row.get("recipe") or "")
        pairs = (part.partition(":") for part in signature.split("|")[1:])
        found: dict[str, str] = {}
        for name, colon, value in pairs:
            if colon:
                found[name] = value
            elif found:  # a regular expression has the sign that parts settings
                found[list(found)[-1]] += f"|{name}"
        return found

    @property
    def extras(self) -> dict[str, str]:
        """Those of :attr:`parts` that tell methods apart beside what :attr:`method` names."""
        return {k: v for k, v in self.parts.items() if k not in _ELSEWHERE}

    @property
    def more_tags(self) -> dict[str, str]:
        """The tags beside PLACING."""
        return {name: value for name, value in self.tags.items() if name not in PLACING}

    @property
    def method(self) -> str | None:
        """The scheme, with saliency, structure and schedule where they are not the usual ones."""
        return _method(self.row)

    @property
    def marks(self) -> list[str]:
        """What was done besides, and the file's stage where a tag says another."""
        marks = [str(mark) for mark in self.row.get("made") or []]
        if self.own != self.stage and not STAGES[self.own].is_dense:
            marks.append(STAGES[self.own].label)
        return marks

    @property
    def asked(self) -> float | None:
        """The percentage that the recipe asks for, of what its structure removes; or None."""
        target = self.row.get("target")
        return None if target is None else round(100 * float(target), 4)

    @property
    def removed(self) -> float:
        """The percentage of the prunable weights that is removed."""
        return round(100 * float(self.row["sparsity"]), 2)

    @property
    def decoding(self) -> str:
        """Data and settings of the evaluation, as a string to compare by."""
        return decoding_of(self.row)

    @property
    def identity(self) -> str:
        """All that tells one measurement from another."""
        row, recipe = self.row, self.row.get("recipe") or self.row.get("method")
        # one recipe's masks are the same each time; a model without any is known by its file
        model = row.get("masks_digest") or (row.get("sha256") if row.get("stage") else None)
        what = [recipe, row.get("method"), model, row["sparsity"]] if recipe else row.get("sha256")
        how = [self.stage, self.own, row.get("made"), row.get("scheme"), row.get("saliency"),
               row.get("structure"), row.get("schedule"), row.get("target")]  # fmt: skip
        return json.dumps([self.model, what, how, self.tags, self.decoding], sort_keys=True)

    @property
    def file(self) -> str:
        """The checkpoint's name and the first digits of its digest."""
        path = Path(str(self.row.get("checkpoint") or "?"))
        name = "/".join(path.parts[-2:])
        return f"{name} {str(self.row.get('sha256') or '')[:8]}".strip()


def model_of(row: Mapping[str, Any], folder: Path) -> str:
    """The name of a row's model, however it was decoded.

    Args:
        folder: of its results file.
    """
    tags = row.get("tags") or {}
    name = tags.get("model") or folder.absolute().name
    return f"{name}, {tags['data']}" if tags.get("data") else name


def decoding_of(row: Mapping[str, Any]) -> str:
    """Data and settings of a row's evaluation, as a string to compare by."""
    return json.dumps([row.get("data_digest"), row.get("settings")], sort_keys=True)


def own_stage(row: Mapping[str, Any], tagged: str) -> str:
    """The stage of a row by its file; by the tag for a row that is older than stages."""
    stage = row.get("stage")
    if stage in STAGES:
        return str(stage)
    return tagged if row.get("recipe") else DENSE


def read_row(row: Mapping[str, Any], path: Path) -> Reading:
    """The row of a results file, read.

    Raises ValueError where it has no place in a report.
    """
    named = f"{path} has a row of {row.get('checkpoint')}"
    if not all(isinstance(row.get(name), int | float) for name in (score_of(row), "sparsity")):
        raise ValueError(f"{named} without BLEU or sparsity.")
    tag = (row.get("tags") or {}).get("stage")
    if tag is not None and tag not in TAGS:
        raise ValueError(f"{named} with the stage {tag!r}; it must be {' or '.join(TAGS)}.")
    own = own_stage(row, tag or PRUNED)
    if tag is None or (STAGES[tag].is_dense and STAGES[own].removes):
        return Reading(row, path, own)
    return Reading(row, path, str(tag))


def _method(row: Mapping[str, Any]) -> str | None:
    scheme, saliency = row.get("scheme"), row.get("saliency") or "magnitude"
    if scheme is None:
        return "masks of another file" if row.get("recipe") else None
    parts = [str(scheme)]
    if saliency == "random" and scheme == "class-blind":
        parts = ["random"]
    elif saliency != "magnitude":
        parts.insert(0, str(saliency))
    parts += [str(row[name]) for name in ("structure", "schedule") if row.get(name)]
    return ", ".join(parts)
