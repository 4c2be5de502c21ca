"""How a checkpoint came to be, as a row of results says it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fairseq_prune.checkpoints.record import Record, read_record
from fairseq_prune.checkpoints.steps import (
    AVERAGED,
    CONTROL,
    EXPORTED,
    PRUNED,
    SHRUNK,
    TRAINED,
    VOCABULARY,
    Step,
    counts_of,
    read_steps,
    recipe_at,
    recipe_of,
)
from fairseq_prune.exports import CTRANSLATE2, INT8
from fairseq_prune.exports.folder import Folder
from fairseq_prune.exports.stripped import NOTE
from fairseq_prune.network.ties import nonzero_count, parameter_count, parameters_in
from fairseq_prune.network.weights import of_state_dict
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.pruning.summary import by_class, whole
from fairseq_prune.tasks.opening import read


def provenance(path: str) -> dict[str, Any]:
    """Stage, scheme, sparsity, masks and recipe of a checkpoint; of a dense one, 0 and Nones.

    ``stage`` and ``made`` are those of :class:`Stage`. ``recipe`` is the signature of the
    file's own record, ``method`` that of the recipe which chose its masks or what was cut out
    of it, whatever file that was. ``sparsity`` is the realised fraction removed, ``removed`` of
    ``prunable`` weights; ``sparsity_of_all`` is of all parameters under masks, and
    ``sparsity_without_embeddings`` of those outside of tables. ``target`` is what the recipe
    asks for. ``structure`` and ``schedule`` are None where they are ``weight`` and
    ``one-shot``. ``parameters`` are those of the file, ``nonzero`` those that are not zero,
    ``parameters_before`` those of what it was cut from. ``sources`` are the SHA-256 of the
    files that it came by, the first one first. Of an export, ``exported_from`` is the name of the
    file that it is of, and ``quantization`` how its weights are stored.

    Raises CheckpointError where the file cannot be read.
    """
    content = read(path).content
    updates = [h.get("num_updates") for h in content.get("optimizer_history") or []]
    record, steps = read_record(content, path), read_steps(content, path)
    zeros = _zeros(content) if record is None and not steps else 0.0
    row: dict[str, Any] = {
        **_made_by(record, steps, zeros),
        **_sizes(content, steps),
        "updates": updates[-1] if updates else None,
    }
    if record is not None and record.masks is not None:
        rows = by_class(record.masks, record.classes, record.extremes)
        row.update(classes=[r.as_dict() for r in rows], masks_digest=record.masks.digest())
        model = whole(record.masks, parameters_in(content["model"]))
        row.update(sparsity_of_all=model.of_all, sparsity_without_embeddings=model.of_others)
    elif not steps:
        row.update(_noted(content))
    if "exported_from" in row:
        row["quantization"] = _kinds(content["model"])
    return row


def provenance_of_folder(folder: Folder) -> dict[str, Any]:
    """The same of a folder of CTranslate2, as far as it says so.

    ``multiply_adds`` and ``flop_sparsity`` are in it too: they are of the model, and the folder's
    weights are not read.
    """
    made, steps = folder.made, folder.steps
    row: dict[str, Any] = {
        **_made_by(None, steps, 0.0),
        **{name: made.get(name) for name in ("parameters", "nonzero")},
        "parameters_before": _before(steps),
        "updates": None,
        **{name: made[name] for name in ("multiply_adds", "flop_sparsity") if name in made},
    }
    if not steps:  # of an early version
        note = {"signature": made.get("pruned"), "sparsity": made.get("sparsity")}
        row |= {"stage": "derived", "made": ["exported"], "exported_from": made.get("checkpoint")}
        row |= _noted({NOTE: note})
    return row


def _made_by(record: Record | None, steps: Sequence[Step], zeros: float) -> dict[str, Any]:
    """What record and steps tell: see :func:`provenance`."""
    removed, prunable = counts_of(record, steps)
    stage = stage_of(record, steps, zeros)
    return {
        "stage": stage.name, "made": list(stage.made), "zeros": zeros,
        "sparsity": removed / prunable if prunable else 0.0, "removed": removed,
        "prunable": prunable, "sparsity_of_all": None, "sparsity_without_embeddings": None,
        "recipe": None if record is None else record.recipe.signature(),
        "masks_digest": None, "classes": [],
        "sources": [step.source for step in steps if step.source is not None],
        **_method(_recipe(record, steps)),
        **_exported(steps),
    }  # fmt: skip


def _exported(steps: Sequence[Step]) -> dict[str, Any]:
    """Of an export: the name of the file that it is of, and how its weights are stored."""
    if not steps or steps[-1].kind != EXPORTED:
        return {}
    return {"exported_from": steps[-1].file, "quantization": _stored_as(steps[-1].facts)}


def _stored_as(facts: Mapping[str, Any]) -> str | None:
    """How an export's weights are stored, where that is not as in what it is of."""
    stored = facts.get("quantization")
    return stored[:20] if isinstance(stored, str) else "float16" if facts.get("half") else None


def _kinds(state: Mapping[str, Any]) -> str:
    """The types of a model's floating-point tensors."""
    floats = (v for v in state.values() if isinstance(v, Tensor) and v.is_floating_point())
    return ", ".join(sorted({str(v.dtype).removeprefix("torch.") for v in floats}))


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
    return {
        "parameters": parameter_count(content["model"]),
        "nonzero": nonzero_count(content["model"]),
        "parameters_before": _before(steps),
    }


def _before(steps: Sequence[Step]) -> int | None:
    """The parameters of what a model was cut from."""
    cut = [step.facts["parameters"] for step in steps if step.facts.get("parameters")]
    return cut[0][0] if cut else None


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


ZEROS = 0.01  # the share of exact zeros that no dense training leaves


@dataclass(frozen=True)
class Stage:
    """How a model came to be.

    Args:
        name: ``dense`` (no record at all), ``pruned``, ``retrained``, ``scratch`` (trained under
            another file's masks from the beginning), ``fresh`` (pruned before or while training),
            ``ticket``, ``waiting`` (its schedule has not begun), ``derived`` (made of a model that
            was not pruned, or holds its masks no more) or ``unrecorded`` (no record, and zeros).
        made: what else was done, in order, such as ``shuffle control``, ``shrunk``.
    """

    name: str
    made: tuple[str, ...] = ()


def stage_of(record: Record | None, steps: Sequence[Step], zeros: float) -> Stage:
    """The stage of a checkpoint.

    Args:
        record: of its masks, or None.
        steps: by which it came to be; none for a file without any.
        zeros: the share of its prunable weights that are exactly zero.
    """
    if record is None and not steps:
        return Stage("dense" if zeros <= ZEROS else "unrecorded")
    masked = record is not None and record.masks is not None
    first = next((i for i, step in enumerate(steps) if _prunes(step)), None)
    if first is None and masked and steps:
        first = len(steps) - 1  # masks were set, and no update was made
    made = _made(steps, first)
    if record is not None and record.notes.ticket is not None:
        control = record.notes.control
        return Stage("ticket", made or ((f"{control} control",) if control else ()))
    if first is None:
        return Stage("waiting" if record is not None else "derived", made)
    later = steps[first + 1 :]
    if not (masked or steps[-1].kind == EXPORTED or _has_shrunk(steps)):
        return Stage("derived", (*made, "masks dropped"))
    return Stage(_name(steps[first], later), made)


def _prunes(step: Step) -> bool:
    facts = step.facts
    return (
        step.kind in (PRUNED, CONTROL, SHRUNK)
        or (step.kind == TRAINED and bool(facts.get("held")))
        or (step.kind == EXPORTED and bool(facts.get("removed")))
    )


def _has_shrunk(steps: Sequence[Step]) -> bool:
    return any(step.kind == SHRUNK for step in steps)


def _name(first: Step, later: Sequence[Step]) -> str:
    """The stage of a pruned model, by the step that pruned it first and those after it."""
    trained = any(step.kind == TRAINED and step.facts.get("updates") for step in later)
    if first.kind != TRAINED:
        return "retrained" if trained else "pruned"
    if first.facts.get("fresh"):
        return "scratch" if first.facts.get("given") else "fresh"
    return "retrained" if trained or first.facts.get("updates") else "pruned"


def _made(steps: Sequence[Step], first: int | None) -> tuple[str, ...]:
    made: list[str] = []
    for number, step in enumerate(steps):
        facts = step.facts
        if step.kind == CONTROL:
            made.append(f"{facts.get('kind')} control")
        elif step.kind == SHRUNK:
            made.append("shrunk")
        elif step.kind == VOCABULARY:
            made.append("vocabulary cut")
        elif step.kind == AVERAGED:
            made.append(f"mean of {facts.get('count')}")
        elif step.kind == EXPORTED:
            made.append(_export_name(facts))
        elif step.kind == PRUNED and first is not None and number > first:
            made.append("pruned again")
        elif step.kind == TRAINED and made and facts.get("updates") and not _holds(made):
            made.append("trained on")
    return tuple(made)


def _export_name(facts: Mapping[str, Any]) -> str:
    """What reports call an export; a compact file has the facts of the checkpoint in it."""
    programs = {CTRANSLATE2: "exported to CTranslate2", INT8: "exported to torch"}
    name = programs.get(str(facts.get("format")), "exported")
    stored = _stored_as(facts)
    name = name if stored is None else f"{name}, {stored}"
    candidates = facts.get("shortlist")
    return f"{name}, shortlist {candidates}" if isinstance(candidates, int) else name


def _holds(made: Sequence[str]) -> bool:
    """Whether training on is what the stage's name says already."""
    return made[-1].endswith("control") or made[-1] == "trained on"
