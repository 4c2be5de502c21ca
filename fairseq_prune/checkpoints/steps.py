"""The steps by which a checkpoint came to be: pruned, trained, cut, averaged, exported; of what.

They stand beside the masks in ``task_state``, where plain fairseq reads nothing of ours and keeps
nothing either: a model that is trained on without this package has no steps.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fairseq_prune.checkpoints.record import Record, read_record
from fairseq_prune.checkpoints.storage import CheckpointError, load
from fairseq_prune.files.writing import file_digest
from fairseq_prune.pruning.notes import check_plain
from fairseq_prune.pruning.recipe import Recipe

STEPS_KEY = "prune_steps"  # our second entry in a checkpoint's task_state
FORMAT = 1
PRUNED, CONTROL, TRAINED, SHRUNK = "pruned", "control", "trained", "shrunk"
VOCABULARY, AVERAGED, EXPORTED = "vocabulary", "averaged", "exported"
STEP_KINDS = (PRUNED, CONTROL, TRAINED, SHRUNK, VOCABULARY, AVERAGED, EXPORTED)
MOST = 200  # steps of one file
_LARGEST = 1 << 16  # characters that the facts of a step take as JSON
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step.

    Args:
        kind: one of STEP_KINDS.
        source: SHA-256 of the file that it started from; None for a fresh model, or where a
            version of this package that wrote no steps made it.
        file: that file's name, without its folder.
        recipe: how masks were chosen, if this step chose or took any; it is never ``masks held``.
        facts: plain values. Of ``trained``: ``fresh`` (whether it began with a fresh model; None:
            unknown), ``given`` (whether under another file's masks), ``updates``, ``held`` (those
            of them under masks) and ``since`` (those since the masks last changed). Of what cuts:
            ``parameters``, before and after. Of ``shrunk`` also ``prunable``, of the source, and
            ``cut`` of them. Of ``exported``: ``format``, ``half``, ``removed`` and ``prunable``; of
            a folder of CTranslate2 also ``quantization`` and, with a shortlist, ``shortlist``, its
            candidates a word.
    """

    kind: str
    source: str | None = None
    file: str = ""
    recipe: Recipe | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def pack(self) -> dict[str, Any]:
        """Plain values, to go into a checkpoint."""
        recipe = self.recipe
        return {
            "kind": self.kind,
            "source": self.source,
            "file": self.file,
            "recipe": None if recipe is None else recipe.settings,
            "signature": None if recipe is None else recipe.signature(),
            "facts": {k: list(v) if isinstance(v, tuple) else v for k, v in self.facts.items()},
        }


def starting_at(path: str, step: Step) -> Step:
    """The step with the file at ``path``, if there is one, as what it started from."""
    source = file_digest(path) if Path(path).is_file() else None
    return replace(step, source=source, file=Path(path).name[:200])


def read_steps(content: Mapping[str, Any], origin: str) -> list[Step]:
    """The steps of a checkpoint, the first one first; ``origin`` names the file.

    Of a file that an earlier version pruned, the one step that its record tells of.

    Raises CheckpointError where they are damaged or of a later format.
    """
    stored = (content.get("task_state") or {}).get(STEPS_KEY)
    if stored is None:
        record = read_record(content, origin)
        return [] if record is None else _of_record(record)
    try:
        if not isinstance(stored, Mapping) or type(stored.get("format")) is not int:
            raise ValueError("it does not say its format")
        if stored["format"] != FORMAT:
            raise CheckpointError(
                f"The steps in {origin} have format {stored['format']}; this version of "
                f"fairseq_prune reads format {FORMAT}: install the version that wrote the file."
            )
        steps = stored["steps"]
        if not isinstance(steps, list) or len(steps) > MOST:
            raise ValueError("its steps are no list, or too many")
        return [_checked(step) for step in steps]
    except CheckpointError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        what = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
        raise CheckpointError(f"What {origin} says of its making is damaged ({what}).") from None


def _checked(stored: Mapping[str, Any]) -> Step:
    kind, source, file = stored["kind"], stored["source"], stored["file"]
    if kind not in STEP_KINDS:
        raise ValueError(f"a step is {str(kind)[:40]!r}")
    if source is not None and not (isinstance(source, str) and _DIGEST.fullmatch(source)):
        raise ValueError(f"a source is {str(source)[:40]!r}")
    if not isinstance(file, str) or len(file) > 255:
        raise ValueError(f"a file is {str(file)[:40]!r}")
    recipe = None if stored["recipe"] is None else Recipe.from_settings(stored["recipe"])
    facts = stored["facts"]
    check_plain(facts)
    if not isinstance(facts, Mapping) or len(json.dumps(facts)) > _LARGEST:
        raise ValueError("the facts of a step are no dict, or too many")
    for name, count in (("updates", 1), ("held", 1), ("since", 1), ("cut", 1), ("prunable", 1),
                        ("removed", 1), ("parameters", 2)):  # fmt: skip
        _check_counts(name, facts.get(name), count)
    return Step(kind=kind, source=source, file=file, recipe=recipe, facts=dict(facts))


def _check_counts(name: str, value: Any, count: int) -> None:
    values = value if isinstance(value, list | tuple) and count > 1 else [value] * count
    whole = all(type(one) is int and 0 <= one < 1 << 53 for one in values)
    if value is not None and not (whole and len(values) == count):
        raise ValueError(f"{name} is {str(value)[:40]!r}")


def _of_record(record: Record) -> list[Step]:
    """What the record of an earlier version tells: by its command, whether it was trained."""
    if record.masks is None:
        return []
    recipe = None if record.recipe.scheme is None else record.recipe
    control = record.notes.control
    if control is not None:
        return [Step(kind=CONTROL, facts={"kind": str(control)[:40]})]
    words = record.command.split()
    if not words or "train" not in words[0]:
        return [Step(kind=PRUNED, recipe=recipe)]
    tuned = any(w.startswith(("--finetune-from-model", "--restore-file")) for w in words)
    given = any(word.startswith("--prune-mask-from") for word in words)
    facts = {"fresh": not tuned, "given": given, "updates": 1, "held": 1, "since": 1}
    return [Step(kind=TRAINED, recipe=recipe, facts=facts)]


def with_steps(content: Mapping[str, Any], steps: Sequence[Step]) -> dict[str, Any]:
    """The checkpoint, which says that it came to be by these steps; the oldest ones stay."""
    kept = [*steps[: MOST // 2], *steps[len(steps) - MOST // 2 :]] if len(steps) > MOST else steps
    packed = {"format": FORMAT, "steps": [step.pack() for step in kept]}
    return {**content, "task_state": {**(content.get("task_state") or {}), STEPS_KEY: packed}}


def with_step(
    content: Mapping[str, Any], before: Mapping[str, Any], step: Step, origin: str
) -> dict[str, Any]:
    """The checkpoint, which came by this step from the one ``before``, read at ``origin``."""
    return with_steps(content, [*read_steps(before, origin), step])


def recipe_of(record: Record | None, steps: Sequence[Step]) -> Recipe | None:
    """The recipe that chose a model's masks, or what is cut out of it; None where nothing says."""
    if record is not None and record.recipe.scheme is not None:
        return record.recipe
    return next((step.recipe for step in reversed(steps) if step.recipe is not None), None)


def recipe_at(path: str) -> Recipe | None:
    """:func:`recipe_of` a checkpoint; None where the file is not there, too.

    Raises CheckpointError where it cannot be read.
    """
    if not Path(path).is_file():
        return None
    content = load(path)
    record = read_record(content, path)
    found = recipe_of(record, read_steps(content, path))
    if found is None and record is not None and record.recipe.mask_from:
        # of an earlier version: its masks are another file's, which may be there
        other = record.recipe.mask_from
        return None if Path(other).resolve() == Path(path).resolve() else recipe_at(other)
    return found


def told(steps: Sequence[Step]) -> list[str]:
    """The steps for people, a phrase each: what was done, to which file, by which recipe."""
    return [_told(step) for step in steps]


def _told(step: Step) -> str:
    facts, words = step.facts, [step.kind]
    if step.kind == TRAINED:
        words = [f"trained {facts.get('updates', 0):,} updates, {facts.get('held', 0):,} masked"]
    elif step.kind == CONTROL:
        words = [f"{facts.get('kind')} control"]
    if step.source is not None:
        words.append(f"from {step.file} {step.source[:12]}")
    if facts.get("parameters"):
        before, after = facts["parameters"]
        words.append(f"{before:,} to {after:,} parameters")
    return ", ".join(words) + (f" ({step.recipe.signature()})" if step.recipe else "")


def counts_of(record: Record | None, steps: Sequence[Step]) -> tuple[int, int]:
    """How many weights are removed, and of how many prunable ones; (0, 0) where nothing says.

    Weights that were cut out with their units count as removed, and the source's as prunable. Those
    that an export left as zeros count until the model is trained on, which moves them.
    """
    removed, prunable = 0, 0
    if record is not None and record.masks is not None:
        masks = record.masks
        removed, prunable = sum(map(masks.removed, masks)), sum(map(masks.prunable, masks))
    elif steps and steps[-1].kind == EXPORTED:
        facts = steps[-1].facts
        return int(facts.get("removed") or 0), int(facts.get("prunable") or 0)
    shrunk = [step.facts for step in steps if step.kind == SHRUNK]
    if shrunk:
        removed += sum(int(facts.get("cut") or 0) for facts in shrunk)
        prunable = int(shrunk[0].get("prunable") or 0)
    return removed, prunable


def export_steps(content: Mapping[str, Any], path: str, form: str, half: bool) -> list[Step]:
    """The steps of a checkpoint with its export as the last one; that of an export is one export.

    Args:
        path: of the checkpoint, or of a compact file.
        form: the format.
        half: whether floats become float16.
    """
    steps = read_steps(content, path)
    if steps and steps[-1].kind == EXPORTED:
        facts = {**steps[-1].facts, "format": form, "half": half or steps[-1].facts.get("half")}
        return [*steps[:-1], replace(steps[-1], facts=facts)]
    record = read_record(content, path)
    removed, prunable = counts_of(record, steps)
    facts = {"format": form, "half": half, "removed": removed, "prunable": prunable}
    own = Step(kind=EXPORTED, recipe=recipe_of(record, steps), facts=facts)
    return [*steps, starting_at(path, own)]
