"""The values that a file was found to hold, all of them, and that they are not too many."""

from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from _fairseq_prune_compat.pickled import Grows

_DEEPEST, _MOST = 100, 2_000_000  # nested values, and values in all


def values_of(root: Any) -> Iterator[Any]:
    """All values of a tree, from the root.

    Raises Grows, with the end of a sentence that begins with the file's name, where it is too deep,
    as one within itself is, or has too many: a thousand bytes can be lists of 2^60 values.
    """
    left, count = [(root, 0)], 0
    while left:
        value, depth = left.pop()
        count += 1
        if count > _MOST:
            raise Grows(f"has more than {_MOST:,} values beside its tensors")
        yield value
        inner = _within(value)
        if inner and depth >= _DEEPEST:
            raise Grows(f"has values nested more than {_DEEPEST} deep")
        left += [(one, depth + 1) for one in inner]


def _within(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    if isinstance(value, (list, tuple, set)):
        return list(value)
    if isinstance(value, Namespace):
        return list(vars(value).values())
    if type(value).__module__.startswith("omegaconf."):
        return [vars(value).get("_content")]
    return []
