"""Tickets: what a round of iterative pruning with rewinding decides, and the proof of it.

Iterative magnitude pruning (Frankle and Carbin 2019) trains, prunes the same share of what is left,
takes the survivors back to where training had them at update k (k = 0 in 2019; later in Frankle et
al. 2020), and trains again under the mask. Learning-rate rewinding (Renda et al. 2020) takes only
the schedule back.
"""

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from fairseq_prune.checkpoints.checkpoint import Opened
from fairseq_prune.checkpoints.moments import moments_of
from fairseq_prune.checkpoints.record import Record
from fairseq_prune.checkpoints.storage import PRUNE_KEY, CheckpointError
from fairseq_prune.checkpoints.zeroed_copy import with_zeros
from fairseq_prune.network.weights import SHADOW

PARAMETERS = "prune_parameters"  # in extra_state: name and size of what the optimizer numbers


def sparsity_of_round(sparsity: float, number: int, rounds: int) -> float:
    """The sparsity after round ``number`` of ``rounds``: density d^(number / rounds).

    Each round removes the same share of what is left, and the last one ends at ``sparsity``
    itself (Frankle and Carbin 2019, section 2).
    """
    if number == rounds:
        return sparsity
    return float(1.0 - (1.0 - sparsity) ** (number / rounds))


def updates_of(content: Mapping[str, Any]) -> int:
    """How many updates a checkpoint's training had completed."""
    history = content.get("optimizer_history") or [{}]
    return int(history[-1].get("num_updates", 0))


def is_over(content: Mapping[str, Any]) -> bool:
    """Whether a checkpoint's run has reached its --max-update.

    fairseq would make one update more if it were called again.
    """
    optimization = (content.get("cfg") or {}).get("optimization") or {}
    return 0 < (optimization.get("max_update") or 0) <= updates_of(content)


def rewound(
    kept: Opened, trained: Opened, record: Record, rewind: str, ticket: Mapping[str, Any]
) -> dict[str, Any]:
    """The checkpoint from which stock fairseq goes on with a round of training.

    With ``weights`` everything is as it was at the kept update, but what the masks remove: zero in
    the model, its averages and the optimizer's moments. With ``learning-rate`` the model, averages
    and moments are those of the trained checkpoint (moments belong to the weights that they were
    measured at; Renda et al. rewind the schedule alone), while the number of updates, the
    scheduler, the learning rate and the position in the data are those of the kept one. The best
    validation loss and the time of training begin anew.

    Args:
        kept: the state after k updates, as ``--prune-keep-update`` saved it.
        trained: the end of the training that was pruned.
        record: the new masks; what is stored says that the schedule has acted.
        rewind: a key of REWINDS.
        ticket: what goes into the record's notes beside the digest of the survivors.

    Raises ValueError where the optimizer's state is laid out in an unknown way.
    """
    masks = record.masks
    assert masks is not None
    source = kept if rewind == "weights" else trained
    base = dict(source.content)
    if source is trained:
        base["extra_state"] = _schedule_of(kept.content["extra_state"], base["extra_state"])
        base["optimizer_history"] = kept.content["optimizer_history"]
    content = with_zeros(base, source.weights, masks, lambda _: None)
    parameters = [(str(name), int(size)) for name, size in base["extra_state"][PARAMETERS]]
    optimizer = copy.deepcopy(source.content["last_optimizer_state"])
    optimizer["param_groups"] = kept.content["last_optimizer_state"]["param_groups"]
    _zero_moments(optimizer, parameters, masks, source.path)
    content["last_optimizer_state"] = optimizer
    content["extra_state"] = _begun_anew(content["extra_state"])
    known = {**ticket, "survivors": survivors(source, record)}
    whole = replace(record, parameters=parameters, notes=replace(record.notes, ticket=known))
    content["task_state"] = {**(content.get("task_state") or {}), PRUNE_KEY: whole.pack()}
    return content


def _schedule_of(kept: Mapping[str, Any], trained: Mapping[str, Any]) -> dict[str, Any]:
    averages = {key: value for key, value in trained.items() if key.startswith("ema")}
    return {**kept, **averages}


def _begun_anew(extra: Mapping[str, Any]) -> dict[str, Any]:
    dropped = ("best", "val_loss", PARAMETERS)
    return {**{k: v for k, v in extra.items() if k not in dropped}, "previous_training_time": 0.0}


def _zero_moments(
    state: dict[str, Any],
    parameters: list[tuple[str, int]],
    masks: Mapping[str, Tensor],
    origin: str,
) -> None:
    shapes = {name: tuple(mask.shape) for name, mask in masks.items()}
    moments = moments_of(state, parameters, shapes)
    if moments is None:
        raise ValueError(
            f"The optimizer's state in {origin} is laid out in an unknown way, so that it cannot "
            "be pruned and rewound; use another --optimizer, such as adam."
        )
    for _, name, value in moments:
        value.masked_fill_(~masks[name], 0.0)


def survivors(opened: Opened, record: Record) -> str:
    """SHA-256 of what the masks leave of a checkpoint's model: names and bits, in order of name.

    All tensors of the model count, whole where they have no mask, except fairseq's shadow copies
    of encoder weights, which it fills again when it loads the file.
    """
    masks = {}
    for name, mask in (record.masks or {}).items():
        masks.update(dict.fromkeys(opened.weights[name].aliases, mask))
    digest = hashlib.sha256()
    model = opened.content["model"]
    for name in sorted(n for n, v in model.items() if isinstance(v, Tensor)):
        if SHADOW.search(name):
            continue
        value = model[name].detach()
        left = value[masks[name]] if name in masks else value
        digest.update(f"{name} {value.dtype} {left.numel()}\n".encode())
        flat = left.contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def check_survivors(written: Opened) -> str:
    """The digest of a rewound checkpoint's survivors, read again from the file.

    Raises CheckpointError where they are not those of the checkpoint that it was made from.
    """
    assert written.record is not None
    expected = str((written.record.notes.ticket or {})["survivors"])
    found = survivors(written, written.record)
    if found != expected:
        raise CheckpointError(
            f"The weights left in {written.path} are not those that it was rewound to "
            f"({found[:12]} instead of {expected[:12]}): the disk or memory is faulty; remove "
            "the file and run the same command again."
        )
    return found
