"""A checkpoint's settings as JSON, and back to the same types.

What JSON has is itself: None, bool, int, finite float, str, list. Everything else is an object
with one key, its type: ``{"dict": {...}}``, ``{"items": [[key, value], ...]}`` for a dict whose
keys are not all strings, ``{"tuple": [...]}``, ``{"Namespace": {...}}``, ``{"float": "nan"}``.
"""

import math
from argparse import Namespace
from typing import Any

_ITSELF = (type(None), bool, int, str)


def to_json(value: Any, where: str) -> Any:
    """The value in types that JSON has.

    Args:
        where: its place in the checkpoint, for the error message.

    Raises ValueError for a value of any other type.
    """
    kind = type(value)
    if kind in _ITSELF:
        return value
    if kind is float:
        return value if math.isfinite(value) else {"float": str(value)}
    if kind is list:
        return [to_json(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if kind is tuple:
        return {"tuple": to_json(list(value), where)}
    if kind is Namespace:
        return {"Namespace": _named(vars(value), where)}
    if kind is dict and all(type(key) is str for key in value):
        return {"dict": _named(value, where)}
    if kind is dict:
        return {"items": [to_json([key, item], f"{where}.{key}") for key, item in value.items()]}
    raise ValueError(
        f"{where} is of the type {kind.__module__}.{kind.__qualname__}, which a compact file does "
        "not hold: it holds None, bool, int, float, str, list, tuple, dict and argparse.Namespace."
    )


def _named(values: dict[str, Any], where: str) -> dict[str, Any]:
    return {key: to_json(item, f"{where}.{key}") for key, item in values.items()}


def from_json(value: Any) -> Any:
    """What :func:`to_json` was given.

    Raises ValueError for a tag that it does not write, and TypeError for a key that is no key.
    """
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) != 1:
        raise ValueError("a value has no type")
    ((tag, inner),) = value.items()
    if tag == "float" and inner in ("nan", "inf", "-inf"):
        return float(inner)
    if tag == "tuple" and isinstance(inner, list):
        return tuple(from_json(inner))
    if tag == "items" and isinstance(inner, list):
        return {key: item for key, item in from_json(inner)}
    if tag in ("dict", "Namespace") and isinstance(inner, dict):
        named = {key: from_json(item) for key, item in inner.items()}
        if tag == "dict":
            return named
        namespace = Namespace()
        vars(namespace).update(named)  # Namespace(**named) fails for the name `self`
        return namespace
    raise ValueError(f"a value has the type {tag[:40]!r}")
