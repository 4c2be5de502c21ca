"""The classes that a checkpoint may hold: all there is, for every place that loads one.

Only containers of plain values are in it. Nothing here imports, looks up a name, opens a file or
calls what it is given, so a file made of these runs no code. ``getattr`` and its like never are.
"""

import argparse
import collections
import enum
import importlib
import importlib.util
import sys
import typing
from typing import Any

SafeType = type | tuple[Any, str]


def safe_types() -> list[SafeType]:
    """Returns the allow-list for ``torch.serialization.safe_globals``.

    An entry is a class, or a pair (stand-in, the name it has in the file). numpy and omegaconf are
    in it where they are installed, fairseq's own classes where fairseq is loaded already.
    """
    plain: list[SafeType] = [argparse.Namespace, collections.defaultdict]
    plain += [dict, list, tuple, str, int, float, bool]
    plain.append((_beside("records").no_bytes, "builtins.bytes"))
    return plain + _typing_names() + _omegaconf_nodes() + _numpy_values() + _fairseq_classes()


def _typing_names() -> list[SafeType]:
    # the declared types of omegaconf nodes; Any is no class before Python 3.11
    return [(typing.Any, "typing.Any")]


def _omegaconf_nodes() -> list[SafeType]:
    if importlib.util.find_spec("omegaconf") is None:
        return []
    names = {
        "omegaconf.dictconfig": ("DictConfig",),
        "omegaconf.listconfig": ("ListConfig",),
        "omegaconf.base": ("Metadata", "ContainerMetadata"),
        "omegaconf.nodes": (
            *("AnyNode", "BooleanNode", "EnumNode", "FloatNode", "IntegerNode", "StringNode"),
        ),
    }
    found: list[SafeType] = []
    for module, classes in names.items():
        loaded = importlib.import_module(module)
        found += [getattr(loaded, name) for name in classes if hasattr(loaded, name)]
    return found


def _numpy_values() -> list[SafeType]:
    if importlib.util.find_spec("numpy") is None:
        return []
    found: list[SafeType] = _beside("numpy_types").safe_numpy_types()
    return found


def _beside(name: str) -> Any:
    # this package goes by two names: installed, and inside the repository
    return importlib.import_module(f"{__name__.rpartition('.')[0]}.{name}")


def _fairseq_classes() -> list[SafeType]:
    found: list[SafeType] = []
    distributed = sys.modules.get("fairseq.distributed.utils")
    if distributed is not None:
        found.append(distributed._TensorPlaceholder)
    constants = sys.modules.get("fairseq.dataclass.constants")
    for name, value in vars(constants).items() if constants is not None else ():
        # a pickle finds an enum by its module and name: fairseq's nameless choices have neither
        if isinstance(value, type) and issubclass(value, enum.Enum) and value.__qualname__ == name:
            found.append(value)
    return found
