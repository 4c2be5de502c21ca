"""Whether what a checkpoint says of its pruning can be true; the file may be anybody's.

Each function raises ValueError, with what is wrong, and changes nothing.
"""

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from fairseq_prune.pruning.shares import is_one_line

if TYPE_CHECKING:
    from fairseq_prune.pruning.recipe import Recipe

_PLAIN = (type(None), bool, int, float, str)
_LARGEST = 1 << 53  # of a whole number; no training has so many updates


def check_settings(kind: "type[Recipe]", settings: Any) -> None:
    """The settings of a recipe: each of its type, and one of the names that there are."""
    if not isinstance(settings, Mapping):
        raise ValueError("its settings are no dict")
    for field in fields(kind):
        value = settings.get(field.name)
        if value is None:
            continue
        if not _fits(value, str(field.type)):
            raise ValueError(f"{field.name} is {_shown(value)}")
        choices = field.metadata.get("choices")
        if choices and value not in choices:
            raise ValueError(f"{field.name} is {_shown(value)}")
    # a name of a file would have that read, and its lines shown
    given = settings.get("given")
    if given is not None and not is_one_line(given):
        raise ValueError(f"given is {_shown(given)}")


def check_extremes(extremes: Any) -> None:
    """By weight, two magnitudes or None."""
    for name, pair in extremes.items():
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise ValueError(f"the extremes of {_shown(name)} are no pair")
        if not all(one is None or _fits(one, "float") for one in pair):
            raise ValueError(f"the extremes of {_shown(name)} are no numbers")


def check_notes(notes: Any) -> None:
    """Plain values by name, as JSON could say them."""
    left = [notes]
    while left:
        value = left.pop()
        if isinstance(value, Mapping):
            odd = next((key for key in value if not isinstance(key, str)), None)
            if odd is not None:
                raise ValueError(f"a note is called {_shown(odd)}")
            left += value.values()
        elif isinstance(value, list | tuple):
            left += value
        elif type(value) not in _PLAIN:
            raise ValueError(f"a note is {_shown(value)}")


def _fits(value: Any, kind: str) -> bool:
    if "str" in kind:
        return isinstance(value, str)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if isinstance(value, int):
        return abs(value) < _LARGEST
    return "float" in kind and not math.isnan(value)


def _shown(value: Any) -> str:
    return f"{str(value)[:40]!r}"
