"""JSON out of files that may be anybody's: values that can be written again, of known kinds."""

import json
import math
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
