"""fairseq's settings of a run, as a task is given them."""

from argparse import Namespace
from typing import Any

from omegaconf import DictConfig, open_dict

from fairseq_prune.tasks._backend import (
    check_backend,
    check_precision,
    check_quantization,
    in_step,
)
from fairseq_prune.tasks._options import PREFIX, without_options
from fairseq_prune.tasks._start import check_saves


def save_as_stock(config: Any, stock_name: str) -> None:
    """Make the configuration that is saved one that fairseq opens without this plugin.

    Args:
        config: the task's part of it.
        stock_name: under which plain fairseq knows the task.
    """
    root = root_of(config)
    if root is None:
        plain = without_options(vars(config))
        for name in [n for n in vars(config) if n.startswith(PREFIX)]:
            delattr(config, name)
        config.__dict__.update(plain, task=stock_name, _name=stock_name)
        return
    task = without_options(dict(root.task.items()))
    with open_dict(root):
        root.pop("task")
        root.task = {**task, "_name": stock_name}


def root_of(config: Any) -> Any:
    """fairseq's whole configuration, from the task's part; None for a legacy Namespace."""
    if isinstance(config, Namespace):
        return None
    parent = config._get_parent() if isinstance(config, DictConfig) else None
    return parent if parent is not None and "checkpoint" in parent else None


def check_settings(root: Any) -> None:
    """Raise ValueError where fairseq's settings, the whole of them, do not go with pruning."""
    check_backend(root)
    check_precision(root.common)
    check_quantization(root.common)
    check_saves(root.checkpoint)


def in_step_of(config: Any) -> bool:
    """Whether all ranks have the same weights after each update."""
    root = root_of(config)
    if root is None:
        return in_step(config, config)
    return in_step(root.optimization, root.distributed_training)
