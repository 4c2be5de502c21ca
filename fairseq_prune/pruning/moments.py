"""The moments of single weights in a saved optimizer state, by the weights' names."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

Moment = tuple[str, str, Tensor]  # what it is called, whose it is, the values


def moments_of(
    state: Mapping[str, Any],
    parameters: Sequence[tuple[str, int]],
    shapes: Mapping[str, tuple[int, ...]],
) -> Iterator[Moment] | None:
    """The moments that hold one number a weight, or None where the layout is not known.

    A saved state numbers the parameters. Either each has its own state, or (--fp16's flat master)
    a single one covers all of them, laid end to end; parameters of a criterion come after the
    model's. Adafactor's factored moments are sums over rows and columns: they are left out.

    Args:
        state: a torch optimizer's ``state_dict()``.
        parameters: name and size of the model's parameters in the optimizer's order.
        shapes: the weights that are asked for.
    """
    groups, states = state.get("param_groups"), state.get("state")
    if not isinstance(groups, Sequence) or not isinstance(states, Mapping) or not parameters:
        return None
    try:
        numbers = [number for group in groups for number in group["params"]]
    except (KeyError, TypeError):
        return None
    if len(numbers) == 1 and len(parameters) > 1:
        return _flat(states.get(numbers[0], {}), parameters, shapes)
    if len(numbers) < len(parameters):
        return None
    return _separate([states.get(n, {}) for n in numbers], parameters, shapes)


def _separate(
    states: Sequence[Mapping[str, Any]],
    parameters: Sequence[tuple[str, int]],
    shapes: Mapping[str, tuple[int, ...]],
) -> Iterator[Moment]:
    for (name, _), own in zip(parameters, states, strict=False):
        for key, value in own.items():
            if name in shapes and isinstance(value, Tensor) and value.shape == shapes[name]:
                yield str(key), name, value


def _flat(
    own: Mapping[str, Any],
    parameters: Sequence[tuple[str, int]],
    shapes: Mapping[str, tuple[int, ...]],
) -> Iterator[Moment]:
    total = sum(size for _, size in parameters)
    for key, value in own.items():
        if not isinstance(value, Tensor) or value.dim() != 1 or value.numel() < total:
            continue
        start = 0
        for name, size in parameters:
            if name in shapes:
                yield str(key), name, value[start : start + size].view(shapes[name])
            start += size
