"""Packages that only exports need, imported where they are needed."""

import importlib
from types import ModuleType


def need(name: str, what: str) -> ModuleType:
    """The module ``name``, of a package that is optional.

    Args:
        what: what it is needed for, as the sentence's subject.

    Raises ValueError where the package is not installed.
    """
    package = name.partition(".")[0]
    try:
        importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ValueError(
            f"{what} needs {package}, which is not installed: pip install {package}."
        ) from None
    return importlib.import_module(name)
