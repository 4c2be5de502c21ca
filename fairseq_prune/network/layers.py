"""Whole layers of a Transformer: their names, and leaving them out of a live model.

A layer that is gone is not run: what comes in goes on as it is, as it does past a layer whose
contribution to the residual stream is zero. Zeros in its matrices alone would not do that: biases
would still be added, and a post-norm layer (fairseq's default) normalises its input whatever its
matrices are. Without it the network is, operation by operation, the one that is built with fewer
layers. fairseq leaves layers out of a file when it opens it (``--encoder-layers-to-keep``), and
so the file says which: :mod:`fairseq_prune.checkpoints.kept_layers`.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

# as fairseq renumbers them when it opens a file; a model of several pairs has names before these
LAYER = re.compile(r"(?P<side>encoder|decoder)\.layers\.(?P<number>\d+)")
_IN = re.compile(rf"({LAYER.pattern})\.")
_BEFORE = "_run_before"  # the attribute that keeps what a layer ran, where that was its own


def layer_of(name: str) -> str | None:
    """The layer that a tensor or module lies in; None where it lies in none."""
    found = _IN.match(name)
    return found[1] if found else None


def is_layer(value: Any) -> bool:
    """Whether this is the name of a layer."""
    return isinstance(value, str) and LAYER.fullmatch(value) is not None


def is_within(name: str, out: Collection[str]) -> bool:
    """Whether what has this name lies in one of the layers ``out``."""
    return bool(out) and layer_of(name) in out


def place_of(layer: str) -> tuple[str, int]:
    """The side of a layer, ``encoder`` or ``decoder``, and its number, from 0.

    Raises ValueError where the name is none of a layer.
    """
    found = LAYER.fullmatch(layer)
    if found is None:
        raise ValueError(f"{layer[:80]} is no layer of an encoder or decoder.")
    return found["side"], int(found["number"])


def kept_of(out: Iterable[str], names: Iterable[str]) -> dict[str, list[int]]:
    """By side, the numbers of the layers that are run, in order.

    Args:
        out: the layers that are not.
        names: of all tensors of the network.
    """
    every = {layer for layer in map(layer_of, names) if layer is not None}
    kept: dict[str, list[int]] = {}
    for layer in every:
        kept.setdefault(place_of(layer)[0], [])
    for layer in every - set(out):
        side, number = place_of(layer)
        kept[side].append(number)
    return {side: sorted(numbers) for side, numbers in kept.items()}


def renamed(name: str, kept: Mapping[str, Sequence[int]]) -> str | None:
    """What a tensor is called where only some layers are left; None where its layer is not.

    Args:
        kept: by side, the numbers of the layers that are left, in order; empty where all are.
    """
    layer = layer_of(name)
    if layer is None or not kept:
        return name
    side, number = place_of(layer)
    if number not in kept[side]:
        return None
    return f"{side}.layers.{kept[side].index(number)}{name.removeprefix(layer)}"


def leave_out_(model: nn.Module, out: Collection[str]) -> None:
    """Have a live model not run these layers, and run all others; again changes nothing."""
    for name, module in model.named_modules():
        if LAYER.fullmatch(name) is None:
            continue
        is_out = module.__dict__.get("forward") in _PASSING
        if name in out and not is_out:
            if "forward" in module.__dict__:  # fairseq's checkpointing of activations
                module.__dict__[_BEFORE] = module.__dict__["forward"]
            module.forward = _PASSING[name.startswith("decoder.")]
        elif name not in out and is_out:
            del module.__dict__["forward"]
            if _BEFORE in module.__dict__:
                module.__dict__["forward"] = module.__dict__.pop(_BEFORE)


def left_out(model: nn.Module) -> frozenset[str]:
    """The layers that a live model does not run."""
    return frozenset(
        name for name, module in model.named_modules() if module.__dict__.get("forward") in _PASSING
    )


@contextmanager
def without(model: nn.Module, layer: str) -> Iterator[None]:
    """Within it, a live model does not run this layer either."""
    before = left_out(model)
    leave_out_(model, before | {layer})
    try:
        yield
    finally:
        leave_out_(model, before)


def _encoder(x: Any, *_: Any, **__: Any) -> Any:
    return x


def _decoder(x: Any, *_: Any, **__: Any) -> Any:
    return x, None, None  # no attention weights, no state


_PASSING = (_encoder, _decoder)
