"""The settings that a checkpoint was trained with, wherever its version of fairseq keeps them.

Before 0.10 all are in ``args``. Since then each part has its own in ``cfg``: flat, as
fairseq-train writes them, or nested, as fairseq-hydra-train does (``encoder: {embed_dim: 512}``).
"""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# of those that `changed` is for, what fairseq has in `encoder` and `decoder` where these are nested
_NESTED = ("embed_path", "ffn_embed_dim")

# flags of fairseq-train for half precision, which takes a GPU
HALF = ("--fp16", "--bf16", "--amp", "--memory-efficient-fp16", "--memory-efficient-bf16")


@dataclass(frozen=True)
class Options:
    """The settings of a model or task, by fairseq's flat names."""

    values: Mapping[str, Any]

    def get(self, name: str, default: Any = None) -> Any:
        """The value of ``name``, or the default where it is missing or None."""
        side, _, rest = name.partition("_")
        # where both are there, fairseq reads the nested one
        value = self.values[side].get(rest) if self.nests(side) else None
        value = self.values.get(name) if value is None else value
        return default if value is None else value

    def number(self, name: str, default: int | None = None) -> int | None:
        """The whole number above 0 that ``name`` is set to, or the default.

        Raises ValueError where it is set to anything else.
        """
        value = self.get(name, default)
        if value is not None and not (type(value) is int and value > 0):
            raise ValueError(
                f"The checkpoint's settings have {name} {str(value)[:40]!r}, which is no whole "
                "number above 0."
            )
        return value

    def words(self, name: str, default: Sequence[str] = ()) -> list[str]:
        """The value of ``name``, which is a list or has commas between its words."""
        value = self.get(name, default)
        if isinstance(value, str):
            return [word for word in value.split(",") if word]
        return [str(word) for word in value]

    def nests(self, side: str) -> bool:
        """Whether the settings of a side, ``encoder`` or ``decoder``, are nested."""
        return isinstance(self.values.get(side), Mapping)


def model_options(checkpoint: Mapping[str, Any]) -> Options:
    """The settings of the model in a checkpoint; empty where unknown."""
    return _options(checkpoint, "model")


def task_options(checkpoint: Mapping[str, Any]) -> Options:
    """The settings of the task; empty where unknown."""
    return _options(checkpoint, "task")


def architecture(checkpoint: Mapping[str, Any]) -> str | None:
    """The name of the model's architecture, or None."""
    options = model_options(checkpoint)
    found = options.get("_name", options.get("arch"))
    return None if found is None else str(found)


def task_name(checkpoint: Mapping[str, Any]) -> str | None:
    """The name of the task, or None."""
    options = task_options(checkpoint)
    found = options.get("task", options.get("_name"))
    return None if found is None else str(found)


def stock_task(checkpoint: Mapping[str, Any]) -> str | None:
    """The name of the task without pruning, by which plain fairseq knows it, or None."""
    name = task_name(checkpoint)
    return None if name is None else name.removeprefix("pruned_")


def changed(settings: Any, values: Mapping[str, Any]) -> Any:
    """A model's settings, a namespace or a mapping, with these values, each where fairseq reads it.

    Args:
        values: by flat name; None for what is not set.
    """
    if isinstance(settings, Namespace):
        return Namespace(**{**vars(settings), **values})
    result = dict(settings)
    for name, value in values.items():
        side, _, rest = name.partition("_")
        if rest in _NESTED and isinstance(result.get(side), Mapping):
            result[side] = {**result[side], rest: value}
        else:
            result[name] = value
    return result


def _options(checkpoint: Mapping[str, Any], part: str) -> Options:
    cfg = checkpoint.get("cfg")
    found = cfg.get(part) if isinstance(cfg, Mapping) else None
    found = checkpoint.get("args") if found is None else found
    if isinstance(found, Mapping):
        return Options(found)
    return Options(vars(found) if isinstance(found, Namespace) else {})
