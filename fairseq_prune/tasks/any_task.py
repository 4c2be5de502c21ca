"""Every task of fairseq, pruned."""

from collections.abc import Callable
from typing import Any

from fairseq.tasks import TASK_DATACLASS_REGISTRY, TASK_REGISTRY, register_task
from hydra.core.config_store import ConfigStore

from fairseq_prune.tasks._hooks import PruningHooks
from fairseq_prune.tasks._options import add_arguments, with_options


def make_pruned(name: str) -> type:
    """The task ``name`` with pruning, registered as ``pruned_NAME`` and in place of ``name``.

    Without prune flags it is the stock task, bit for bit.
    """
    pruned_name = f"pruned_{name}"
    if pruned_name in TASK_REGISTRY:
        return TASK_REGISTRY[pruned_name]
    base, dataclass = TASK_REGISTRY[name], TASK_DATACLASS_REGISTRY.get(name)
    members: dict[str, Any] = {"stock_name": name, "__module__": __name__, "__doc__": base.__doc__}
    if dataclass is None:
        members["add_args"] = staticmethod(_with_arguments(base))
    cls = type(f"Pruned{base.__name__}_{name}", (PruningHooks, base), members)
    options = None if dataclass is None else with_options(dataclass)
    register_task(pruned_name, dataclass=options)(cls)
    TASK_REGISTRY[name] = cls
    if options is not None:
        TASK_DATACLASS_REGISTRY[name] = options
        node: Any = options()
        node._name = name
        ConfigStore.instance().store(name=name, group="task", node=node, provider="fairseq")
    return cls


def _with_arguments(base: Any) -> Callable[[Any], None]:
    def add_args(parser: Any) -> None:
        base.add_args(parser)
        add_arguments(parser)

    return add_args


def register_all() -> None:
    """Make every task that fairseq has registered a pruned one; calling again changes nothing."""
    for name in [n for n in TASK_REGISTRY if not n.startswith("pruned_")]:
        make_pruned(name)
