"""Every criterion of fairseq with a penalty on weights beside it.

Loss and logging are the stock criterion's. The penalty is decoupled from them: the task acts on
the weights after the optimizer's step, as the criterion's flags say.
"""

import dataclasses
from typing import Any

from fairseq.criterions import CRITERION_DATACLASS_REGISTRY, CRITERION_REGISTRY, register_criterion
from fairseq.dataclass import FairseqDataclass
from omegaconf import DictConfig, open_dict

from fairseq_prune.pruning.flags import PREFIX
from fairseq_prune.pruning.penalty_flags import PENALTIES
from fairseq_prune.pruning.refusal import Refusal


class PenaltyHooks:
    """Mixin before a FairseqCriterion: hands its flags to the task."""

    stock_name: str  # the name under which plain fairseq knows the criterion
    penalty_name: str

    @classmethod
    def build_criterion(cls, cfg: Any, task: Any) -> Any:
        """The stock criterion; its penalty goes to the task, and the saved config is plain.

        Raises ValueError for a task without prune flags.
        """
        criterion = super().build_criterion(cfg, task)  # type: ignore[misc]
        settings = PENALTIES[cls.penalty_name].settings
        if not hasattr(task, "penalise"):
            raise Refusal(
                f"--criterion {cls.stock_name}_{cls.penalty_name} works with fairseq's own tasks; "
                f"{type(task).__name__} does not know the prune flags."
            )
        given = {f.name: getattr(cfg, PREFIX + f.name) for f in dataclasses.fields(settings)}
        task.penalise(settings(**given))
        _save_as_stock(cfg, cls.stock_name)
        return criterion


def make_penalised(name: str, penalty: str) -> type:
    """The criterion ``name`` with a penalty, registered as ``NAME_PENALTY``.

    The class keeps the stock class's name: fairseq stores it in checkpoints and refuses to go on
    with a criterion of another, so that a run could not change from one to the other.
    """
    penalised_name = f"{name}_{penalty}"
    if penalised_name in CRITERION_REGISTRY:
        return CRITERION_REGISTRY[penalised_name]
    base = CRITERION_REGISTRY[name]
    members = {"stock_name": name, "penalty_name": penalty, "__doc__": base.__doc__}
    cls = type(base.__name__, (PenaltyHooks, base), {**members, "__module__": __name__})
    options = _with_options(CRITERION_DATACLASS_REGISTRY[name], penalty)
    register_criterion(penalised_name, dataclass=options)(cls)
    return cls


def register_all() -> None:
    """Penalised forms of all criterions with a dataclass; calling again changes nothing."""
    made = tuple(f"_{penalty}" for penalty in PENALTIES)
    for name in [n for n in CRITERION_DATACLASS_REGISTRY if not n.endswith(made)]:
        for penalty in PENALTIES:
            make_penalised(name, penalty)


def _with_options(base: type[FairseqDataclass], penalty: str) -> type[FairseqDataclass]:
    """``base`` with a field ``prune_*`` for each flag of the penalty."""
    fields = [
        (PREFIX + f.name, f.type, dataclasses.field(default=f.default, metadata=f.metadata))
        for f in dataclasses.fields(PENALTIES[penalty].settings)
    ]
    return dataclasses.make_dataclass(f"{base.__name__}_{penalty}", fields, bases=(base,))


def _save_as_stock(cfg: Any, stock_name: str) -> None:
    """Make the configuration that is saved one that fairseq opens without this plugin."""
    root = cfg._get_parent() if isinstance(cfg, DictConfig) else None
    if root is None or "criterion" not in root:
        return
    plain = {name: value for name, value in root.criterion.items() if not name.startswith(PREFIX)}
    with open_dict(root):
        root.pop("criterion")
        root.criterion = {**plain, "_name": stock_name}
