"""A module with a few names replaced, for the eyes of one other module."""

from types import ModuleType
from typing import Any


class Overlay(ModuleType):
    """``real`` with ``own`` names in front of it; every other name is looked up in ``real``.

    Put in place of a global of one module (its ``torch``, its ``np``), it changes what that module
    sees and nothing else in the program.
    """

    def __init__(self, real: ModuleType, **own: Any) -> None:
        super().__init__(real.__name__, real.__doc__)
        self.__dict__.update(own, _overlaid=real)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_overlaid"], name)
