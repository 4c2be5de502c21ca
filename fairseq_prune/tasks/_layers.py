"""Layers that are gone, in a training run: not run, and not opened by stock fairseq."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fairseq_prune.checkpoints.kept_layers import as_written
from fairseq_prune.network.options import Options


def watch_saving() -> None:
    """Let fairseq's trainer write which layers are left; again changes nothing."""
    # not at the top: other commands of fairseq have no trainer
    from fairseq.trainer import Trainer

    if not hasattr(Trainer.state_dict, "says_layers"):
        Trainer.state_dict = _saying(Trainer.state_dict)


def _saying(state_dict: Callable[[Any], dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
    @wraps(state_dict)
    def wrapped(trainer: Any) -> dict[str, Any]:
        return as_written(state_dict(trainer))

    wrapped.says_layers = True  # type: ignore[attr-defined]
    return wrapped


def options_of(settings: Any) -> Options:
    """The settings of a live model, as fairseq gives them to its class."""
    if isinstance(settings, DictConfig):
        found: Any = OmegaConf.to_container(settings)
        return Options(found)
    return Options({} if settings is None else vars(settings))
