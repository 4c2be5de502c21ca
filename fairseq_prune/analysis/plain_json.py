"""JSON out of files that may be anybody's: plain values that can be written again."""

import json
import math
from typing import Any


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
