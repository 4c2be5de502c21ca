"""A checkpoint with all that decoding needs, and nothing else."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from fairseq_prune.checkpoints import storage
from fairseq_prune.checkpoints.checkpoint import not_begun
from fairseq_prune.checkpoints.kept_layers import without_layers
from fairseq_prune.checkpoints.record import read_record
from fairseq_prune.checkpoints.steps import export_steps, with_steps
from fairseq_prune.checkpoints.storage import CheckpointError
from fairseq_prune.network.weights import SHADOW

NOTE = "pruned"  # fairseq looks at no entry of this name
# a buffer that fairseq neither fills nor reads: it holds what the memory held
_NOISE = re.compile(r"(^|\.)_float_tensor$")
_RESOLVER = re.compile(r"\$\{[^{}]*:[^{}]*\}?")  # omegaconf's ${env:NAME}, not its ${other.value}
# where fairseq takes the content of a shadow copy from when it loads a file
_SOURCES = {
    "in_proj": "self_attn.q_proj",
    "out_proj": "self_attn.out_proj",
    "fc1": "fc1",
    "fc2": "fc2",
}


def stripped(content: Mapping[str, Any], origin: str, half: bool = False) -> dict[str, Any]:
    """The checkpoint without optimizer, averages (EMA), masks and record, shadow copies, and the
    layers that are gone.

    fairseq 0.12.2 opens it as any other: what it asks for beside the model (a line of history, an
    iterator) is that of a run that has not begun. Tied names share one tensor, and no tensor is
    part of a larger piece of memory. The record leaves a note of its signature and sparsity, and
    the steps by which the model came to be stay, with this one.

    Args:
        content: a checkpoint as loaded; nothing in it is changed.
        origin: its file, for messages.
        half: floats become float16.

    Raises CheckpointError where the record is damaged, or a value is too large for float16.
    """
    run = without_layers(content)
    task_state = content.get("task_state")
    task_state = dict(task_state) if isinstance(task_state, Mapping) else {}
    task_state.pop(storage.PRUNE_KEY, None)
    result = {
        "args": _plain(run.get("args"), origin),
        "cfg": _plain(run.get("cfg"), origin),
        "model": _model(run["model"], origin, half),
        **_rest(content),
        "task_state": task_state,
    }
    note = _note(content, origin)
    result = with_steps(result, export_steps(content, origin, "checkpoint", half))
    return result if note is None else {**result, NOTE: note}


def _plain(settings: Any, origin: str) -> Any:
    """The settings as fairseq 0.12.2 stores them; some versions stored omegaconf's objects.

    Raises CheckpointError where they ask for more than each other's values: ``${env:NAME}`` would
    put a variable of this environment into the file.
    """
    if not type(settings).__module__.startswith("omegaconf."):
        return settings
    from omegaconf import OmegaConf

    if found := _RESOLVER.search(str(OmegaConf.to_container(settings, enum_to_str=True))):
        raise CheckpointError(
            f"{origin} has a setting that looks outside of it, {found[0][:60]}: it is not exported."
        )
    return OmegaConf.to_container(settings, resolve=True, enum_to_str=True)


def _rest(content: Mapping[str, Any]) -> dict[str, Any]:
    history = content.get("optimizer_history")
    last = history[-1] if isinstance(history, list) and history else {}
    last = last if isinstance(last, Mapping) else {}
    updates = last.get("num_updates")  # some models ask for it
    return not_begun(
        str(last.get("criterion_name", "")),
        str(last.get("optimizer_name", "")),
        updates if isinstance(updates, int) else 0,
    )


def _note(content: Mapping[str, Any], origin: str) -> dict[str, Any] | None:
    record = read_record(content, origin)
    if record is not None and record.masks is not None:
        return {"signature": record.recipe.signature(), "sparsity": record.masks.sparsity()}
    note = content.get(NOTE)  # of an earlier export
    if not isinstance(note, Mapping):
        return None
    signature, sparsity = note.get("signature"), note.get("sparsity")
    is_ours = isinstance(signature, str) and isinstance(sparsity, float)
    return {"signature": signature, "sparsity": sparsity} if is_ours else None


def _model(state: Mapping[Any, Any], origin: str, half: bool) -> dict[str, Tensor]:
    state = {str(name): value for name, value in state.items() if isinstance(value, Tensor)}
    for name, tensor in state.items():
        if tensor.layout != torch.strided or tensor.is_meta:
            raise CheckpointError(f"{origin} cannot be exported: {name} is no ordinary tensor.")
    kept = {name: tensor for name, tensor in state.items() if not _refilled(name, state)}
    made: dict[Any, Tensor] = {}
    result = {}
    for name, tensor in kept.items():
        key: Any = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
        if _NOISE.search(name):
            tensor = torch.zeros_like(tensor)
            key = name  # its address may be another tensor's before
        if not tensor.numel():  # has no memory that it could share
            key = name
        if key not in made:
            made[key] = _alone(_halved(name, tensor, origin) if half else tensor)
        result[name] = made[key]
    return result


def _refilled(name: str, state: Mapping[str, Any]) -> bool:
    """Whether this is a shadow copy that fairseq makes anew when it loads the file."""
    found = SHADOW.search(name)
    if found is None:
        return False
    kind = name[name.rindex("_") + 1 :]
    layer = re.sub(rf"{found[2]}_{kind}$", "", name)
    return f"{layer}{_SOURCES[found[2]]}.{kind}" in state


def _halved(name: str, tensor: Tensor, origin: str) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    result = tensor.to(torch.float16)
    if not torch.equal(torch.isinf(result), torch.isinf(tensor)):
        raise CheckpointError(
            f"{origin} cannot be stored in float16: {name} has values beyond 65504."
        )
    return result


def _alone(tensor: Tensor) -> Tensor:
    """The tensor in memory of its own: a file would hold all that it is a part of."""
    is_whole = tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
    return tensor if is_whole and tensor.is_contiguous() else tensor.contiguous().clone()
