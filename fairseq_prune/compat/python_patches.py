"""What newer Pythons took away from fairseq 0.12.2 and hydra 1.0, given back before their import.

Both patches change a table that the whole process shares, since they must be in place before the
first line of fairseq runs; both are written so that no other package can notice.
"""

import dataclasses
import functools
import sys
import types
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_OURS = ("fairseq", "hydra")


def dataclass_defaults() -> None:
    """Accepts ``x: Config = Config()`` for configs of fairseq and hydra, as Python 3.10 does.

    Python 3.11 takes an unhashable default for a mutable one. While a class is built, the types of
    its defaults, if they are dataclasses that fairseq or hydra define or inherit, are hashable;
    right after they are what they were. Other dataclasses meet the rules of this Python.
    """
    if _accepts_unhashable_defaults():
        return
    original: Callable[..., Any] = dataclasses.dataclass

    def build(cls: type, *args: Any, **options: Any) -> Any:
        with _hashable(_config_types(cls)):
            return original(cls, *args, **options)

    @functools.wraps(original)
    def dataclass(cls: type | None = None, /, *args: Any, **options: Any) -> Any:
        if cls is None:
            return lambda decorated: build(decorated, *args, **options)
        return build(cls, *args, **options)

    shared: Any = dataclasses
    shared.dataclass = dataclass


def _accepts_unhashable_defaults() -> bool:
    default = type("Unhashable", (), {"__hash__": None})()
    probe = type("Probe", (), {"__annotations__": {"x": object}, "x": default})
    try:
        dataclasses.dataclass(probe)
    except ValueError:
        return False
    return True


def _config_types(cls: type) -> set[type]:
    """Returns the unhashable config classes among the types of ``cls``'s defaults."""
    found: set[type] = set()
    for value in vars(cls).values():
        if isinstance(value, dataclasses.Field):
            value = value.default
        kind = type(value)
        if kind.__hash__ is None and dataclasses.is_dataclass(kind):
            if any(base.__module__.partition(".")[0] in _OURS for base in kind.__mro__):
                found.add(kind)
    return found


@contextmanager
def _hashable(kinds: set[Any]) -> Iterator[None]:
    for kind in kinds:
        kind.__hash__ = object.__hash__
    try:
        yield
    finally:
        for kind in kinds:
            kind.__hash__ = None


def typing_io() -> None:
    """Lets ``from typing.io import TextIO`` work, which antlr4 4.8 and hydra 1.0 say.

    The pseudo-module went away in Python 3.13.
    """
    if "typing.io" in sys.modules:
        return
    module = types.ModuleType("typing.io", "IO, TextIO and BinaryIO of typing.")
    names = {"IO": typing.IO, "TextIO": typing.TextIO, "BinaryIO": typing.BinaryIO}
    module.__dict__.update(names)
    sys.modules["typing.io"] = module
