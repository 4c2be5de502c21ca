"""The allow-list: complete for fairseq's checkpoints, and free of anything that reaches further."""

import builtins
import subprocess
import sys
from typing import Any

import pytest
from _fairseq_prune_compat.safe_types import safe_types

HARMLESS_BUILTINS = {dict, list, tuple, str, int, float, bool}


def targets() -> list[Any]:
    return [entry[0] if isinstance(entry, tuple) else entry for entry in safe_types()]


def test_no_builtin_but_plain_containers_and_numbers_is_allowed() -> None:
    ours = [target for target in targets() if getattr(target, "__module__", "") == "builtins"]
    assert set(ours) == HARMLESS_BUILTINS


@pytest.mark.parametrize("name", ["getattr", "setattr", "eval", "exec", "__import__", "open"])
def test_dangerous_builtins_are_not_on_the_list(name: str) -> None:
    assert getattr(builtins, name) not in targets()


def test_functions_on_the_list_are_ours() -> None:
    for target in targets():
        if not isinstance(target, type) and callable(target) and hasattr(target, "__code__"):
            assert target.__module__.endswith(("numpy_types", "records")), target


def test_names_of_numpy_1_and_numpy_2_are_on_the_list() -> None:
    names = {entry[1] for entry in safe_types() if isinstance(entry, tuple)}
    assert {"numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"} <= names


def test_fairseq_is_not_imported_for_the_list() -> None:
    code = (
        "import sys; from _fairseq_prune_compat.safe_types import safe_types; safe_types();"
        "print(sorted({'fairseq', 'torch', 'hydra'} & sys.modules.keys()))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


def test_the_list_is_the_same_under_both_names_of_the_package() -> None:
    from fairseq_prune.compat.safe_types import safe_types as in_the_repository

    def names(types: list[Any]) -> list[str]:
        return [t[1] if isinstance(t, tuple) else f"{t.__module__}.{t.__name__}" for t in types]

    assert names(in_the_repository()) == names(safe_types())
