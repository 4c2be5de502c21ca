"""Finds a module as Python would and applies our patches around its import."""

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from _fairseq_prune_compat import (
    endings,
    fairseq_patches,
    hydra_patches,
    interrupts,
    numpy_patches,
    prefetching,
    python_patches,
    saving,
    torch_patches,
)

Patch = Callable[[], None]

BEFORE: tuple[Patch, ...] = (python_patches.dataclass_defaults, python_patches.typing_io)
AFTER_HYDRA: tuple[Patch, ...] = (hydra_patches.plugin_scan, hydra_patches.error_report)
# hydra's come again: pytest may have imported hydra through a finder of its own
AFTER_FAIRSEQ: tuple[Patch, ...] = (
    *AFTER_HYDRA,
    torch_patches.safe_loading,
    torch_patches.encoder_fastpath,
    numpy_patches.numpy_names,
    numpy_patches.bitarray_rindex,
    fairseq_patches.config_strings,
    fairseq_patches.unknown_architectures,
    fairseq_patches.user_dir_by_name,
    endings.refusals_end_programs,
    interrupts.quiet_interrupts,
    prefetching.prefetching_ends,
    saving.save_dir_first,
    saving.whole_saves,
    saving.whole_copies,
)
AFTER = {"hydra": AFTER_HYDRA, "fairseq": AFTER_FAIRSEQ}
PATCHES = {patch.__name__: patch for patch in (*BEFORE, *AFTER_FAIRSEQ)}

_applied: set[str] = set()
_searching: set[str] = set()


def skipped() -> set[str]:
    """Returns the patches that FAIRSEQ_PRUNE_COMPAT_SKIP names; warns of names it does not know."""
    given = os.environ.get("FAIRSEQ_PRUNE_COMPAT_SKIP", "").split(",")
    names = {name.strip() for name in given if name.strip()}
    for name in sorted(names - PATCHES.keys()):
        known = ", ".join(sorted(PATCHES))
        warnings.warn(
            f"FAIRSEQ_PRUNE_COMPAT_SKIP names the patch {name!r}, known are {known}.", stacklevel=2
        )
    return names


def apply(patches: Sequence[Patch]) -> None:
    """Applies each patch once in the life of the process, except those the user skips.

    A patch that meets other code than it was written for leaves a warning, never an error.
    """
    skip = skipped()
    for patch in patches:
        name = patch.__name__
        if name in _applied or name in skip:
            continue
        _applied.add(name)
        try:
            patch()
        except (AttributeError, ImportError, TypeError) as error:
            warnings.warn(f"fairseq_prune: patch {name} does not apply: {error}.", stacklevel=2)


def find_patched(
    finder: object, name: str, path: Sequence[str] | None, target: ModuleType | None
) -> ModuleSpec | None:
    """Returns the spec that the other finders give for ``name``, with our patches attached.

    Args:
        finder: the one that asks; it is left out of the search.
        name: the module's full name; ``path`` and ``target`` as in ``find_spec``.
    """
    if name in _searching:  # a second copy of the start-up line asks during our own search
        return None
    _searching.add(name)
    try:
        apply(BEFORE)
        spec = _ask_others(finder, name, path, target)
        if spec is not None and name in AFTER:
            _after_execution(spec, AFTER[name])
        return spec
    finally:
        _searching.discard(name)


def _ask_others(
    finder: object, name: str, path: Sequence[str] | None, target: ModuleType | None
) -> ModuleSpec | None:
    for other in list(sys.meta_path):
        find_spec = getattr(other, "find_spec", None)
        if other is finder or find_spec is None:
            continue
        spec: ModuleSpec | None = find_spec(name, path, target)
        if spec is not None:
            return spec
    return None


def _after_execution(spec: ModuleSpec, patches: Sequence[Patch]) -> None:
    loader: Any = spec.loader
    execute = getattr(loader, "exec_module", None)
    if execute is None:
        return

    def execute_and_patch(module: ModuleType) -> None:
        execute(module)
        if module.__name__ == spec.name:  # one loader may serve several modules
            apply(patches)

    try:
        loader.exec_module = execute_and_patch
    except AttributeError:  # a loader with slots: the patches come with the next import
        return
