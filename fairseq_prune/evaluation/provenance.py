"""How a checkpoint came to be, as a row of results says it."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from fairseq_prune.checkpoints.record import Record, read_record
from fairseq_prune.checkpoints.steps import Step, counts_of, read_steps, recipe_at, recipe_of
from fairseq_prune.evaluation.stages import stage_of
from fairseq_prune.exports.stripped import NOTE
from fairseq_prune.network.ties import parameter_count, parameters_in
from fairseq_prune.network.weights import of_state_dict
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.pruning.summary import by_class
from fairseq_prune.pruning.whole import whole
from fairseq_prune.tasks.opening import read


def provenance(path: str) -> dict[str, Any]:
    """Stage, scheme, sparsity, masks and recipe of a checkpoint; of a dense one, 0 and Nones.

    ``stage`` and ``made`` are those of :class:`~fairseq_prune.evaluation.stages.Stage`. ``recipe``
    is the signature of the file's own record, ``method`` that of the recipe which chose its masks
    or what was cut out of it, whatever file that was. ``sparsity`` is the realised fraction removed,
    ``removed`` of ``prunable`` weights; ``sparsity_of_all`` is of all parameters under masks, and
    ``sparsity_without_embeddings`` of those outside of tables. ``target`` is what the recipe asks
    for. ``structure`` and ``schedule`` are None where they are ``weight`` and ``one-shot``.
    ``parameters`` are those of the file, ``parameters_before`` those of what it was cut from.
    ``sources`` are the SHA-256 of the files that it came by, the first one first.

    Raises CheckpointError where the file cannot be read.
    """
    content = read(path).content
    updates = [h.get("num_updates") for h in content.get("optimizer_history") or []]
    record, steps = read_record(content, path), read_steps(content, path)
    removed, prunable = counts_of(record, steps)
    zeros = _zeros(content) if record is None and not steps else 0.0
    stage = stage_of(record, steps, zeros)
    row: dict[str, Any] = {
        "stage": stage.name, "made": list(stage.made), "zeros": zeros,
        "sparsity": removed / prunable if prunable else 0.0, "removed": removed,
        "prunable": prunable, "sparsity_of_all": None, "sparsity_without_embeddings": None,
        **_sizes(content, steps),
        "recipe": None if record is None else record.recipe.signature(),
        "masks_digest": None, "classes": [], "updates": updates[-1] if updates else None,
        "sources": [step.source for step in steps if step.source is not None],
        **_method(_recipe(record, steps)),
    }  # fmt: skip
    if record is not None and record.masks is not None:
        rows = by_class(record.masks, record.classes, record.extremes)
        row.update(classes=[r.as_dict() for r in rows], masks_digest=record.masks.digest())
        model = whole(record.masks, parameters_in(content["model"]))
        row.update(sparsity_of_all=model.of_all, sparsity_without_embeddings=model.of_others)
    elif not steps:
        row.update(_noted(content))
    return row


def _recipe(record: Record | None, steps: Sequence[Step]) -> Recipe | None:
    found = recipe_of(record, steps)
    if found is None and record is not None and record.recipe.mask_from:
        return recipe_at(record.recipe.mask_from)  # an earlier version did not write it down
    return found


def _method(recipe: Recipe | None) -> dict[str, Any]:
    settings = {} if recipe is None else recipe.settings
    return {
        "method": None if recipe is None else recipe.signature(),
        "scheme": settings.get("scheme"),
        "saliency": settings.get("saliency"),
        "structure": _unusual(settings.get("structure"), "weight"),
        "schedule": _unusual(settings.get("schedule"), "one-shot"),
        "target": settings.get("sparsity"),
    }


def _unusual(value: Any, usual: str) -> str | None:
    return None if value in (None, usual) else str(value)


def _sizes(content: Mapping[str, Any], steps: Sequence[Step]) -> dict[str, Any]:
    cut = [step.facts["parameters"] for step in steps if step.facts.get("parameters")]
    return {
        "parameters": parameter_count(content["model"]),
        "parameters_before": cut[0][0] if cut else None,
    }


def _zeros(content: Mapping[str, Any]) -> float:
    """The share of the prunable weights that are exactly zero."""
    state = {str(n): v for n, v in content["model"].items() if isinstance(v, Tensor)}
    try:
        weights = of_state_dict(state).values()
    except ValueError:  # nothing can be pruned
        return 0.0
    total = zeros = 0
    for weight in weights:
        flat, (a, b) = weight.tensor.reshape(-1), weight.fixed or (0, 0)
        total += weight.prunable
        zeros += int((flat[:a] == 0).sum()) + int((flat[b:] == 0).sum())
    return zeros / total if total else 0.0


def _noted(content: Mapping[str, Any]) -> dict[str, Any]:
    """What an export of an earlier version, which wrote no steps, says of its pruning."""
    note = content.get(NOTE)
    note = note if isinstance(note, Mapping) else {}
    signature, sparsity = note.get("signature"), note.get("sparsity")
    if not (isinstance(signature, str) and isinstance(sparsity, float) and 0 <= sparsity <= 1):
        return {}
    return {
        "stage": "pruned",
        "made": ["exported"],
        "sparsity": sparsity,
        "method": signature[:2000],
        "scheme": signature.partition("|")[0][:40],
    }
