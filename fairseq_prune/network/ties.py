"""Tied tensors: which names of a model are one tensor, and a state dict that has them so.

The model says so, never the values: a layer that was copied from another equals it in every bit,
and is trained on its own. A file may say something else: on a GPU, fairseq 0.12.2 moves a model to
the CPU one tensor at a time before it saves (trainer.py, save_checkpoint), so that a shared
embedding arrives as several tensors; and a layer that was copied in a script can share its memory.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fairseq_prune.network.options import Options
from fairseq_prune.network.weights import SHADOW, Ties, is_prunable

_NO_WEIGHT = re.compile(r"(^|\.)(version|_float_tensor)$")
_SOURCE, _TARGET = "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"
_SOFTMAX = "decoder.output_projection.weight"


def ties_of(model: nn.Module) -> list[tuple[str, ...]]:
    """The names of each parameter of a live model that has several."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return [tuple(every) for every in names.values() if len(every) > 1]


def ties_by_settings(options: Options) -> list[tuple[str, ...]]:
    """The ties that fairseq's settings of an encoder and a decoder ask for, by their flags."""
    if options.get("share_all_embeddings"):
        return [(_SOURCE, _TARGET, _SOFTMAX)]
    return [(_TARGET, _SOFTMAX)] if options.get("share_decoder_input_output_embed") else []


def ties_by_storage(state: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The names of each tensor in a file that has several."""
    names: dict[Any, list[str]] = {}
    for name, value in state.items():
        if isinstance(value, Tensor) and value.numel():
            names.setdefault((value.data_ptr(), tuple(value.shape)), []).append(name)
    return [tuple(every) for every in names.values() if len(every) > 1]


def tied(state: Mapping[str, Any], ties: Ties) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The state dict with one tensor for each tie, the first, and for any other name its own.

    Also given are the pairs of names that are tied and differ: they stay as they are.
    """
    result, torn = dict(state), list[tuple[str, str]]()
    first_of = {name: every[0] for every in ties for name in every}
    for every in ties:
        first, *others = [name for name in every if isinstance(state.get(name), Tensor)] or [""]
        for name in others:
            if _same(state[first], state[name]):
                result[name] = state[first]
            else:
                torn.append((first, name))
    owner: dict[Any, str] = {}
    for name, value in result.items():
        if not isinstance(value, Tensor) or not value.numel():
            continue
        own = first_of.get(name, name)
        if owner.setdefault((value.data_ptr(), tuple(value.shape)), own) != own:
            result[name] = value.clone()
    return result, torn


def equal_pairs(state: Mapping[str, Any], ties: Ties) -> list[tuple[str, str]]:
    """Matrices that are equal in every bit, without a tie between them and not constant."""
    tied_names = [set(every) for every in ties]
    known: dict[tuple[Any, ...], list[str]] = {}
    pairs = []
    for name, value in state.items():
        if not isinstance(value, Tensor) or not is_prunable(name, value):
            continue
        alike = known.setdefault((value.dtype, tuple(value.shape), float(value.sum())), [])
        for other in alike:
            if any({name, other} <= names for names in tied_names):
                continue
            if _same(state[other], value) and not bool((value == value.reshape(-1)[0]).all()):
                pairs.append((other, name))
                break
        alike.append(name)
    return pairs


def owners_of(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Each name's first name among those that share its memory and shape."""
    first: dict[Any, str] = {}
    return {
        name: first.setdefault((value.data_ptr(), tuple(value.shape)), name)
        if value.numel()
        else name
        for name, value in tensors.items()
    }


def parameters_in(model: Mapping[str, Any]) -> dict[str, Tensor]:
    """A model's parameters by their first name, tied ones once, without buffers and shadow copies.

    Buffers are fairseq's ``version`` and ``_float_tensor``.

    Args:
        model: a state dict in which tied names have one tensor.
    """
    found: dict[int, tuple[str, Tensor]] = {}
    for name, value in model.items():
        if isinstance(value, Tensor) and not SHADOW.search(name) and not _NO_WEIGHT.search(name):
            found.setdefault(value.data_ptr(), (name, value))
    return dict(found.values())


def parameter_count(model: Mapping[str, Any]) -> int:
    """How many parameters a model has, see :func:`parameters_in`."""
    return sum(value.numel() for value in parameters_in(model).values())


def nonzero_count(model: Mapping[str, Any]) -> int:
    """How many parameters of a model are not zero, see :func:`parameters_in`."""
    return sum(int((value != 0).sum()) for value in parameters_in(model).values())


def names_in(ties: Iterable[tuple[str, ...]]) -> set[str]:
    """All names that are tied."""
    return {name for every in ties for name in every}


def _same(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.data_ptr() == other.data_ptr() and one.stride() == other.stride():
        return True
    return torch.equal(one, other)
