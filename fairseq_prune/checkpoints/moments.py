"""The moments of single weights in a saved optimizer state, by the weights' names."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from fairseq_prune.checkpoints.checkpoint import Opened
from fairseq_prune.network.weights import SHADOW

_BUFFERS = ("_float_tensor", ".version")
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
    numbered = _numbered(state)
    if numbered is None or not parameters:
        return None
    if len(numbered) == 1 and len(parameters) > 1:
        return _flat(numbered[0], parameters, shapes)
    if len(numbered) < len(parameters):
        return None
    return _separate(numbered, parameters, shapes)


def _numbered(state: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    """What is remembered of each parameter, in the order of their numbers; None where unknown."""
    groups, states = state.get("param_groups"), state.get("state")
    if not isinstance(groups, Sequence) or not isinstance(states, Mapping):
        return None
    try:
        return [states.get(number, {}) for group in groups for number in group["params"]]
    except (KeyError, TypeError):
        return None


def second_moments(source: Opened) -> dict[str, Tensor]:
    """Adam's ``exp_avg_sq`` of a checkpoint's weights, by name.

    A file that this package did not write does not name what its optimizer numbers. The model's
    own order is tried then, and accepted where every shape (or the sum of sizes) agrees.

    Raises ValueError where the file has none.
    """
    state = source.content.get("last_optimizer_state")
    recorded = source.record.parameters if source.record else ()
    found = {}
    if isinstance(state, Mapping):
        parameters = recorded or _guess_parameters(source, state)
        shapes = {name: tuple(w.tensor.shape) for name, w in source.weights.items()}
        moments = moments_of(state, parameters, shapes)
        found = {name: value for key, name, value in moments or () if key == "exp_avg_sq"}
    if set(found) != set(source.weights):
        raise ValueError(
            f"{source.path} has no second moments of Adam for all its weights (pruned by apply, "
            "another optimizer, or saved with --no-save-optimizer-state): choose another "
            "--prune-saliency."
        )
    return found


def _guess_parameters(source: Opened, state: Mapping[str, Any]) -> list[tuple[str, int]]:
    aliases = {a for w in source.weights.values() for a in w.aliases[1:]}
    model = {
        name: value
        for name, value in source.content["model"].items()
        if isinstance(value, Tensor)
        and value.is_floating_point()
        and name not in aliases
        and not name.endswith(_BUFFERS)
    }
    # fairseq's shadow copies are numbered too where they are part of the model that was trained
    plain = {name: value for name, value in model.items() if not SHADOW.search(name)}
    fitting = (tensors for tensors in (model, plain) if _fits(tensors, state))
    return [(name, value.numel()) for name, value in next(fitting, {}).items()]


def _fits(model: Mapping[str, Tensor], state: Mapping[str, Any]) -> bool:
    """Whether the state may number these tensors, in this order; some may have no moments."""
    found = [own.get("exp_avg_sq") for own in _numbered(state) or ()]
    shapes = [None if value is None else tuple(value.shape) for value in found]
    if len(shapes) == 1 and len(model) > 1:
        return shapes == [(sum(value.numel() for value in model.values()),)]
    pairs = zip(shapes, model.values(), strict=False)
    return len(shapes) == len(model) and all(s in (None, tuple(v.shape)) for s, v in pairs)


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
