"""How a checkpoint came to be pruned, as a row of results says it."""

from pathlib import Path
from typing import Any

from fairseq_prune.masks import storage
from fairseq_prune.pruning.record import Record, read_record
from fairseq_prune.pruning.summary import by_class, total


def provenance(path: str) -> dict[str, Any]:
    """Scheme, sparsity, masks and recipe of a checkpoint; of a dense one, sparsity 0 and Nones.

    ``sparsity`` is the realised fraction removed; ``target`` what the recipe asks for. A model
    under masks taken from another file has the scheme and target of that file, where it is there.
    ``structure`` and ``schedule`` are None where they are ``weight`` and ``one-shot``.

    Raises CheckpointError where the file cannot be read.
    """
    content = storage.load(path)
    updates = [h.get("num_updates") for h in content.get("optimizer_history") or []]
    record = read_record(content, path)
    row: dict[str, Any] = {
        "scheme": None, "saliency": None, "structure": None, "schedule": None,
        "target": None, "sparsity": 0.0, "recipe": None,
        "masks_digest": None, "classes": [], "updates": updates[-1] if updates else None,
    }  # fmt: skip
    if record is None:
        return row
    row.update(_origin(record), recipe=record.recipe.signature())
    if record.masks is not None:
        rows = by_class(record.masks, record.classes, record.extremes)
        row["classes"] = [r.as_dict() for r in rows]
        row.update(sparsity=total(rows).sparsity, masks_digest=record.masks.digest())
    return row


def _origin(record: Record) -> dict[str, Any]:
    recipe = record.recipe
    if recipe.scheme is None and recipe.mask_from and Path(recipe.mask_from).is_file():
        found = read_record(storage.load(recipe.mask_from), recipe.mask_from)
        recipe = recipe if found is None else found.recipe
    settings = recipe.settings
    return {
        "scheme": recipe.scheme,
        "saliency": settings["saliency"] if recipe.scheme else None,
        "structure": _unusual(settings.get("structure"), "weight"),
        "schedule": _unusual(settings.get("schedule"), "one-shot"),
        "target": settings["sparsity"] if recipe.scheme else None,
    }


def _unusual(value: Any, usual: str) -> str | None:
    return None if value in (None, usual) else str(value)
