"""JSON out of files that may be anybody's: values that can be written again, of known kinds."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

LARGEST = 1e300  # of a number, so that sums and percentages stay numbers
_MOST = 1 << 53  # of a whole number; no training has so many updates


def parse(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises ValueError where it is none, and for what JSON has not or no file can hold: NaN,
    infinity, half a character.
    """
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if (b"\\u" if isinstance(text, bytes) else "\\u") in text:  # type: ignore[operator]
        json.dumps(value, ensure_ascii=False).encode()  # UnicodeEncodeError is a ValueError
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"it says {constant}, which is no number")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:20]} is too large for a number")
    return value


def is_number(value: Any) -> bool:
    """Whether a value is a number that sums and percentages can be made of."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST


def is_of_kind(value: Any, kind: str) -> bool:
    """Whether a value is of a kind of plain value: "str", "int" or "float" (which an int is too).

    Args:
        kind: as annotated; ``float | None`` says float.
    """
    if "str" in kind:
        return isinstance(value, str)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if isinstance(value, int):
        return abs(value) < _MOST
    return "float" in kind and not math.isnan(value)


def differences(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """What settings differ in, to be read: names, values here and there; "" where in nothing.

    Args:
        mine, theirs: nested or not.
    """
    here, there = dict(_leaves("", mine)), dict(_leaves("", theirs))
    changed = [
        _difference(name, here.get(name), there.get(name))
        for name in dict.fromkeys([*here, *there])
        if here.get(name) != there.get(name)
    ]
    return " ".join("; ".join(changed).split())


def _leaves(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The leaves of nested mappings, each with the keys that lead to it."""
    if not isinstance(value, Mapping):
        yield prefix, value
        return
    for key, item in value.items():
        yield from _leaves(f"{prefix}.{key}" if prefix else str(key), item)


def _difference(name: str, here: Any, there: Any) -> str:
    if isinstance(here, list | tuple) and isinstance(there, list | tuple):
        pairs = zip([*here, None], [*there, None], strict=False)
        place = next((i for i, (one, other) in enumerate(pairs) if one != other), 0)
        here, there = (
            " ".join(map(str, words[max(place - 1, 0) : place + 1])) for words in (here, there)
        )
        return f"{name} ... {here} ... (there: ... {there} ...)"
    return f"{name} {here} (there: {there})"
