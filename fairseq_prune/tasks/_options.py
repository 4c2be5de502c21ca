"""The prune flags as fields of a task's configuration, made from the recipe's fields."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Optional, get_type_hints

from fairseq.dataclass import FairseqDataclass
from omegaconf import DictConfig

from fairseq_prune.pruning.checks import checked
from fairseq_prune.pruning.flags import (
    KEEP,
    KEEP_HELP,
    OVERRIDE,
    OVERRIDE_HELP,
    PREFIX,
    add_arguments,
)
from fairseq_prune.pruning.recipe import Recipe, help_of

__all__ = [
    "PREFIX",
    "add_arguments",
    "read_keep",
    "read_options",
    "with_options",
    "without_options",
]


def with_options(base: type[FairseqDataclass]) -> type[FairseqDataclass]:
    """``base`` with one field ``prune_*`` for each field of a recipe."""
    fields: list[tuple[str, Any, Any]] = [
        (PREFIX + f.name, _optional(f.name), dataclasses.field(default=None, metadata=_meta(f)))
        for f in dataclasses.fields(Recipe)
    ]
    override = dataclasses.field(default=False, metadata={"help": OVERRIDE_HELP})
    fields.append((OVERRIDE, bool, override))
    keep = dataclasses.field(default=None, metadata={"help": KEEP_HELP})
    fields.append((KEEP, Optional[int], keep))  # noqa: UP045
    return dataclasses.make_dataclass(f"Pruned{base.__name__}", fields, bases=(base,))


def _optional(name: str) -> Any:
    hints = get_type_hints(Recipe)[name].__args__
    # omegaconf 2.0 knows Optional[float] but not the newer `float | None`
    return Optional[next(kind for kind in (float, int, str) if kind in hints)]  # noqa: UP045


def _meta(field: "dataclasses.Field[Any]") -> dict[str, str]:
    return {"help": help_of(field)}


def read_options(config: Any) -> tuple[Recipe, bool]:
    """The recipe in a task's configuration (DictConfig or Namespace), and whether to override.

    Raises ValueError where the flags make no sense.
    """
    get = _getter(config)
    given = {f.name: get(PREFIX + f.name, None) for f in dataclasses.fields(Recipe)}
    return checked(Recipe(**given)), bool(get(OVERRIDE, False))


def read_keep(config: Any) -> int | None:
    """The update whose state is to be kept, or None.

    Raises ValueError where it is none.
    """
    update: int | None = _getter(config)(KEEP, None)
    if update is not None and update < 0:
        raise ValueError(f"--prune-keep-update {update} must be a number of updates, 0 or more.")
    return update


def _getter(config: Any) -> Any:
    return config.get if isinstance(config, DictConfig) else lambda n, d=None: getattr(config, n, d)


def without_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """A task's configuration as plain fairseq knows it."""
    return {name: value for name, value in config.items() if not name.startswith(PREFIX)}
