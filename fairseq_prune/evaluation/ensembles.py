"""What a row of results says of several models that decode together."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fairseq_prune.evaluation import results
from fairseq_prune.evaluation.provenance import provenance
from fairseq_prune.files.writing import file_digest
from fairseq_prune.tasks.opening import open_checkpoint

STAGE = "ensemble"


def kept_paths(members: Sequence[str], output: str | None) -> str:
    """How a row names a checkpoint or an ensemble: see :func:`results.kept_path`."""
    return ":".join(results.kept_path(path, output) for path in members)


def provenance_of(
    members: Sequence[str], output: str | None, opened: Sequence[str] | None = None
) -> dict[str, Any]:
    """How a checkpoint came to be; of an ensemble its members, and what they have together.

    No recipe, method or mask is an ensemble's. ``members`` have path, SHA-256, stage, method and
    sparsity; weights are those of all, which all take part in each translation.

    Args:
        members: as given.
        opened: the checkpoints that fairseq opens for them; None: the same.
    """
    opened = members if opened is None else opened
    each = [provenance(path) for path in opened]
    if len(each) == 1:
        return each[0]
    together = {
        "removed": sum(one["removed"] for one in each),
        # of a dense model, a row says none
        "prunable": sum(
            one["prunable"] or _prunable(p) for p, one in zip(opened, each, strict=True)
        ),
    }
    digests = [file_digest(path) for path in members]
    told = ("stage", "method", "sparsity")
    return {
        **dict.fromkeys(each[0]),
        **together,
        "stage": STAGE,
        "made": [f"ensemble of {len(members)}"],
        "sparsity": together["removed"] / together["prunable"] if together["prunable"] else 0.0,
        **{name: sum(one[name] for one in each) for name in ("parameters", "nonzero")},
        "classes": [],
        "sources": digests,
        "members": [
            {"checkpoint": results.kept_path(path, output), "sha256": digest}
            | {name: one[name] for name in told}
            for path, digest, one in zip(members, digests, each, strict=True)
        ],
    }


def _prunable(path: str) -> int:
    """How many weights of a dense checkpoint can be pruned."""
    try:
        return sum(weight.prunable for weight in open_checkpoint(path).weights.values())
    except ValueError:  # none
        return 0


def name_of(members: Sequence[str], base: Path) -> str:
    """A name for files that are made with a checkpoint or an ensemble, without an ending.

    Args:
        base: the folder of the results; what lies in it is named from there.
    """
    return "+".join(_name_of(Path(path).absolute(), base) for path in members)


def _name_of(path: Path, base: Path) -> str:
    inside = path.is_relative_to(base)
    parts = path.relative_to(base).parts if inside else (path.parent.name, path.name)
    name = "-".join(parts)
    # a folder may have the name of a checkpoint that lies beside it
    return f"{name}.ctranslate2" if path.is_dir() else name.removesuffix(".pt")
