"""hydra-core 1.0.7 on Python 3.10 and later."""

import importlib
import importlib.machinery
import inspect
import traceback
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from _fairseq_prune_compat.overlay import Overlay


class _Importer:
    """Answers ``find_module(name).load_module(name)`` by a plain import."""

    def find_module(self, name: str) -> "_Importer":
        return self

    def load_module(self, name: str) -> ModuleType:
        return importlib.import_module(name)


def plugin_scan() -> None:
    """Lets hydra scan its plugins: ``find_module`` went away in Python 3.12."""
    old_methods = hasattr(importlib.machinery.FileFinder, "find_module") and hasattr(
        importlib.machinery.SourceFileLoader, "load_module"
    )
    if old_methods:
        return
    plugins: Any = importlib.import_module("hydra.core.plugins")
    if "find_module" not in inspect.getsource(plugins.Plugins._scan_all_plugins):
        return
    pkgutil = plugins.pkgutil

    def walk_packages(*args: Any, **options: Any) -> Iterator[tuple[_Importer, str, bool]]:
        for _, name, is_package in pkgutil.walk_packages(*args, **options):
            yield _Importer(), name, is_package

    plugins.pkgutil = Overlay(pkgutil, walk_packages=walk_packages)


def error_report() -> None:
    """Lets hydra print the error that ended a run.

    It calls ``print_exception(etype=...)``, a name that Python 3.10 dropped, so every error in
    fairseq-hydra-train would show as that TypeError. The whole traceback is printed: the shortened
    one that hydra makes is not a traceback to newer Pythons.
    """
    if "etype" in inspect.signature(traceback.print_exception).parameters:
        return
    utils: Any = importlib.import_module("hydra._internal.utils")
    if "etype=" not in inspect.getsource(utils.run_and_report):
        return

    def print_exception(etype: Any = None, value: Any = None, tb: Any = None) -> None:
        traceback.print_exception(type(value), value, value.__traceback__)

    utils.print_exception = print_exception
