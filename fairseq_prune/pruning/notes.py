"""What is noted of a pruning beside its masks, as it is stored in a checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from fairseq_prune.files.strict_json import is_of_kind
from fairseq_prune.maths.select import Findings

_PLAIN = (type(None), bool, int, float, str)
# a stored name that is no name for Python
_STORED = {"lambda_": "lambda"}


@dataclass(frozen=True, kw_only=True)
class Notes(Findings):
    """What the scheme found, and what else is to be known of a pruning.

    Args:
        before: by class, how many weights, tiles or units were gone before; classes with none, too.
        unseen, unseen_gone, unseen_order: of rows without a score, by table: how many there are;
            the shares of their weights that went, and of the others'; a key of
            :data:`fairseq_prune.pruning.unseen.ORDERS`.
        control, seed: of masks that are a control: its kind, and the seed of what was drawn.
        ticket: of a lottery ticket: round, update, digest of the survivors.
        vocabulary: of a model whose tokens were cut: by dictionary, the rows before and after.
        more: what another version, or a scheme of somebody else's, has noted.
    """

    before: Mapping[str, int] = field(default_factory=dict)
    unseen: Mapping[str, int] = field(default_factory=dict)
    unseen_gone: Mapping[str, list[float]] = field(default_factory=dict)
    unseen_order: str | None = None
    control: str | None = None
    seed: int | None = None
    ticket: Mapping[str, Any] | None = None
    vocabulary: Mapping[str, list[int]] | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    def pack(self) -> dict[str, Any]:
        """Plain values by name; what was not noted is left out."""
        packed = dict(self.more)
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name != "more" and value is not None and value != {}:
                name = _STORED.get(one.name, one.name)
                packed[name] = dict(value) if isinstance(value, Mapping) else value
        return packed

    @classmethod
    def unpack(cls, packed: Any) -> "Notes":
        """The notes that :meth:`pack` gave; they may be anybody's.

        Raises ValueError where they are not of the kinds that they should be.
        """
        check_plain(packed)
        if not isinstance(packed, Mapping):
            raise ValueError("its notes are no dict")
        left, known = dict(packed), {}
        for one in fields(cls):
            name = _STORED.get(one.name, one.name)
            if one.name != "more" and name in left:
                value = left.pop(name)
                if value is not None and not _fits(value, str(one.type)):
                    raise ValueError(f"the note {name} is {str(value)[:40]!r}")
                if value is not None:
                    known[one.name] = value
        return cls(**known, more=left)


def check_plain(notes: Any) -> None:
    """Raise ValueError where notes are not plain values by name, as JSON could say them."""
    left = [notes]
    while left:
        value = left.pop()
        if isinstance(value, Mapping):
            odd = next((key for key in value if not isinstance(key, str)), None)
            if odd is not None:
                raise ValueError(f"a note is called {str(odd)[:40]!r}")
            left += value.values()
        elif isinstance(value, list | tuple):
            left += value
        elif type(value) not in _PLAIN:
            raise ValueError(f"a note is {str(value)[:40]!r}")


def _fits(value: Any, kind: str) -> bool:
    """Whether a value is of an annotation's kind: plain, or a mapping to plain ones or lists."""
    if "Mapping" not in kind:
        return is_of_kind(value, kind)
    if not isinstance(value, Mapping):
        return False
    inner = kind.partition(", ")[2]
    if "Any" in inner:
        return True
    number = "float" if "float" in inner else "int"
    values = value.values()
    if "list" in inner:
        lists = all(isinstance(one, list | tuple) for one in values)
        return lists and all(is_of_kind(each, number) for one in values for each in one)
    return all(is_of_kind(one, number) for one in values)
