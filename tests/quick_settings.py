"""The settings of a run in a quarter of the time: they took five sixths of four updates' training.

What hydra makes of a run's flags is the same (test_quick_settings.py); it is made with less copying
and, in one process, without merging the defaults of fairseq's parts again for each run.
"""

import copy
from types import SimpleNamespace
from typing import Any

import omegaconf.basecontainer
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_store import ConfigStore
from omegaconf import Node

_kept: dict[Any, Any] = {}  # by method, search path, and what the method is asked for


def quick_settings() -> None:
    """Make them in this process, from now on; a second call changes nothing."""
    if not isinstance(omegaconf.basecontainer.copy, SimpleNamespace):
        omegaconf.basecontainer.copy = SimpleNamespace(deepcopy=_without_parents)
        _merge_once()


def _without_parents(value: Any) -> Any:
    """A copy of what is assigned to a place, which then gets its parent: omegaconf copies the whole
    tree with each of its nodes, and drops it."""
    parent = value._get_parent() if isinstance(value, Node) else None
    return copy.deepcopy(value, {id(parent): parent})


def _merge_once() -> None:
    """Keep what hydra loads and merges, until another part is registered."""
    load, merge = (
        ConfigLoaderImpl._load_primary_config,
        ConfigLoaderImpl._merge_defaults_into_config,
    )
    store = ConfigStore.store

    def load_once(loader: Any, cfg_filename: Any, record_load: bool = True) -> Any:
        key = ("load", _path(loader), cfg_filename, record_load)
        if key not in _kept:
            _kept[key] = load(loader, cfg_filename, record_load)
        return copy.deepcopy(_kept[key])

    def merge_once(
        loader: Any, hydra: Any, job: Any, trace: Any, defaults: Any, split_at: int, run_mode: Any
    ) -> Any:
        key = ("merge", _path(loader), repr(trace), repr(defaults), split_at, run_mode)
        if key not in _kept:
            _kept[key] = merge(loader, hydra, job, trace, defaults, split_at, run_mode)
        return copy.deepcopy(_kept[key])

    def store_anew(*arguments: Any, **more: Any) -> None:
        _kept.clear()
        store(*arguments, **more)

    ConfigLoaderImpl._load_primary_config = load_once
    ConfigLoaderImpl._merge_defaults_into_config = merge_once
    ConfigStore.store = store_anew


def _path(loader: Any) -> str:
    return repr([(place.provider, place.path) for place in loader.get_search_path().get_path()])
