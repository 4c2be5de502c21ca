"""The mean of several checkpoints of one run, still pruned."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from fairseq_prune import __version__
from fairseq_prune.checkpoints.checkpoint import Opened
from fairseq_prune.checkpoints.steps import AVERAGED, MOST, Step, starting_at, with_step
from fairseq_prune.checkpoints.storage import PRUNE_KEY, CheckpointError
from fairseq_prune.checkpoints.zeroed_copy import Tick, with_zeros
from fairseq_prune.files.text import this_command
from fairseq_prune.files.writing import file_digest
from fairseq_prune.masks.state import Masks
from fairseq_prune.network.options import architecture, model_options

# settings that change what a network computes and no tensor's shape
_SHAPELESS = (
    *("encoder_attention_heads", "decoder_attention_heads", "activation_fn"),
    *("encoder_normalize_before", "decoder_normalize_before"),
)


@dataclass(frozen=True)
class Members:
    """Checkpoints that can be averaged.

    Args:
        opened: the checkpoints; all but the model is taken from the last.
        masks: what the mean keeps; None for dense models.
        note: a sentence on the masks, or empty.
    """

    opened: tuple[Opened, ...]
    masks: Masks | None
    note: str = ""

    @property
    def last(self) -> Opened:
        """The checkpoint that all but the model is taken from."""
        return self.opened[-1]


def members_of(opened: Sequence[Opened]) -> Members:
    """These checkpoints, checked to be of one model with masks that go together.

    Masks go together when they agree, or when all that the last one keeps is kept by the others
    too, as in a run whose sparsity rises.

    Raises ValueError where they do not.
    """
    last = opened[-1]
    for other in opened[:-1]:
        _check_alike(other, last)
    if last.masks is None:
        pruned = next((o for o in opened if o.masks is not None), None)
        if pruned is not None:
            raise ValueError(_mixed(pruned.path, last.path))
        return Members(tuple(opened), None)
    for other in opened[:-1]:
        _check_masks(other, last, last.masks)
    digests = {None if o.masks is None else o.masks.digest() for o in opened}
    note = ""
    if len(digests) > 1:
        note = f"the masks differ; those of {last.path}, which are the sparsest, are applied"
    return Members(tuple(opened), last.masks, note)


def average(members: Members, tick: Tick) -> dict[str, Any]:
    """The mean of the models, in the dtype of the last one; everything else is the last one's.

    Sums are float64, one tensor at a time. Tensors of whole numbers are the first checkpoint's.
    The optimizer's state and the EMA are left out: they belong to one checkpoint, not to the mean.

    Args:
        tick: called with each tensor's size when it is done.
    """
    last = members.last
    content = {k: v for k, v in last.content.items() if k != "last_optimizer_state"}
    if isinstance(content.get("extra_state"), dict):
        kept = {k: v for k, v in content["extra_state"].items() if not k.startswith("ema")}
        content["extra_state"] = kept
    content["model"] = _mean(members.opened, tick)
    sources = [file_digest(o.path) for o in members.opened[: MOST // 2]]
    step = Step(kind=AVERAGED, facts={"count": len(members.opened), "sources": sources})
    content = with_step(content, last.content, starting_at(last.path, step), last.path)
    if members.masks is None or last.record is None:
        return content
    content = with_zeros(content, last.weights, members.masks, lambda _: None)
    record = replace(last.record, command=this_command(), version=__version__, parameters=())
    content["task_state"] = {**content["task_state"], PRUNE_KEY: record.pack()}
    return content


def _mean(opened: Sequence[Opened], tick: Tick) -> dict[str, Any]:
    model: dict[str, Any] = copy.copy(opened[-1].content["model"])
    states = [o.content["model"] for o in opened]
    made: dict[Any, Tensor] = {}
    for name, value in states[-1].items():
        if not isinstance(value, Tensor):
            continue
        parts = [state[name] for state in states]
        key = (tuple(part.data_ptr() for part in parts), tuple(value.shape), value.stride())
        if key not in made:
            made[key] = _mean_of(parts)
        model[name] = made[key]
        tick(value.numel())
    return model


def _mean_of(parts: Sequence[Tensor]) -> Tensor:
    if not parts[-1].is_floating_point():
        return parts[0].clone()
    total = torch.zeros(parts[0].shape, dtype=torch.float64)
    for part in parts:
        total += part
    return total.div_(len(parts)).to(parts[-1].dtype)


def _check_alike(other: Opened, last: Opened) -> None:
    _check_settings(other, last)
    here, there = _shapes(other), _shapes(last)
    odd = min(here.keys() ^ there.keys(), default=None)
    if odd is not None:
        having, lacking = (other, last) if odd in here else (last, other)
        raise CheckpointError(
            f"{having.path} and {lacking.path} are different models: only the first has {odd}."
        )
    for name, shape in here.items():
        if shape != there[name]:
            raise CheckpointError(
                f"{other.path} and {last.path} are different models: {name} is {shape} in the "
                f"first and {there[name]} in the second."
            )


def _check_settings(other: Opened, last: Opened) -> None:
    """Raise where equal shapes do not make equal networks."""
    one, two = model_options(other.content), model_options(last.content)
    pairs = {"architecture": (architecture(other.content), architecture(last.content))}
    pairs |= {name: (one.get(name), two.get(name)) for name in _SHAPELESS}
    for name, (mine, theirs) in pairs.items():
        if None not in (mine, theirs) and mine != theirs:
            raise CheckpointError(
                f"{other.path} and {last.path} are different models: {name} is {mine} in the "
                f"first and {theirs} in the second."
            )


def _shapes(opened: Opened) -> dict[str, tuple[int, ...]]:
    model = opened.content["model"]
    return {name: tuple(v.shape) for name, v in model.items() if isinstance(v, Tensor)}


def _check_masks(other: Opened, last: Opened, masks: Masks) -> None:
    if other.record is None:
        raise ValueError(_mixed(last.path, other.path))
    for name, theirs in (other.masks or {}).items():
        mine = masks.get(name)
        if bool((~theirs).any() if mine is None else (mine & ~theirs).any()):
            raise ValueError(
                f"{other.path} has pruned weights of {name} that {last.path} keeps: average "
                "checkpoints of one run, the latest one last."
            )


def _mixed(pruned: str, dense: str) -> str:
    return (
        f"{pruned} is pruned and {dense} is not, so their mean would be neither: average pruned "
        "checkpoints with pruned ones."
    )
