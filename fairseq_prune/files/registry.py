"""Things by name, open to others: what this package offers, and what plugins register.

A plugin registers from its own ``--user-dir``, or from a module that its package names as an entry
point of the group ``fairseq_prune``, which is imported when a registry is first read. Functions of
this package are named by their place, so that ``--help`` lists them without importing torch.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

GROUP = "fairseq_prune"  # of entry points
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")

logger = logging.getLogger("fairseq_prune")
Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Lazy:
    """The function ``name`` of ``module``, which is imported when it is called."""

    module: str
    name: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.load()(*args, **kwargs)

    def load(self) -> Any:
        """The function itself."""
        return getattr(import_module(self.module), self.name)


class Registry(Mapping[str, Entry]):
    """Entries by name.

    Args:
        kind: what they are, for messages.
        entries: those of this package.
    """

    def __init__(self, kind: str, entries: Mapping[str, Entry]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def register(self, name: str, entry: Entry) -> None:
        """Add an entry; the same one again changes nothing.

        Raises ValueError where the name is none, or another entry has it.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"the {self.kind} {name[:50]!r} needs another name: up to 40 small letters, digits "
                "and -, a letter first."
            )
        before = self._entries.get(name)
        if before is not None and before != entry:
            raise ValueError(f"there is a {self.kind} {name} already; register it by another name.")
        self._entries[name] = entry

    def __getitem__(self, name: str) -> Entry:
        if name not in self._entries:
            import_entry_points()
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        import_entry_points()
        return iter(self._entries)

    def __len__(self) -> int:
        import_entry_points()
        return len(self._entries)


_imported = False


def import_entry_points() -> None:
    """Import the modules that other packages register from, once; one that fails is named."""
    global _imported
    if _imported:
        return
    _imported = True  # before: such a module may read a registry
    from importlib.metadata import entry_points  # here, as it takes a while

    for point in entry_points(group=GROUP):
        try:
            point.load()
        except Exception as error:
            logger.warning(
                "what %s registers is not there: its entry point %s = %s cannot be imported "
                "(%s: %s).",
                getattr(point.dist, "name", "a package"), point.name, point.value,
                type(error).__name__, error,
            )  # fmt: skip
