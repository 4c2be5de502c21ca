"""What a compact file says of itself: settings, names, and how each tensor is stored."""

import json
import math
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fairseq_prune.exports.planes import DTYPES

# A file may ask for this many bytes of tensors for each of its own, which is fp32 with 99.9%
# removed; small files for as many as FREE.
MAX_RATIO, FREE = 1000, 1 << 26


@dataclass(frozen=True)
class StoredTensor:
    """One tensor, as it is stored.

    Args:
        dtype, shape: of the tensor.
        kept, base: see :class:`fairseq_prune.exports.planes.Planes`.
        sums: the last bytes of its parts in hexadecimal, which are zstd's checksums.
    """

    dtype: str
    shape: tuple[int, ...]
    kept: int | None
    base: int
    sums: tuple[str, ...]

    @property
    def size(self) -> int:
        """How many values the tensor has."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """How many bytes the tensor takes."""
        return self.size * DTYPES[self.dtype].itemsize

    def parts(self, index: int) -> list[str]:
        """The names of its parts, as tensor number ``index``."""
        planes = [f"{index}.plane{j}" for j in range(DTYPES[self.dtype].itemsize)]
        return planes if self.kept is None else [f"{index}.mask", *planes]

    @classmethod
    def checked(cls, packed: Mapping[str, Any]) -> "StoredTensor":
        """The entry that a file says, before anything of its size is made.

        Raises ValueError where it describes no tensor.
        """
        if set(packed) != {"dtype", "shape", "kept", "base", "sums"}:
            raise ValueError("a tensor is not described by the usual five properties")
        dtype, shape, kept, base = (packed[key] for key in ("dtype", "shape", "kept", "base"))
        if dtype not in DTYPES:
            raise ValueError(f"a tensor is of the type {str(dtype)[:40]!r}")
        if not isinstance(shape, list) or len(shape) > 64 or not all(map(_is_count, shape)):
            raise ValueError(f"a tensor has the shape {str(shape)[:80]}")
        # zero values can have any shape; torch computes with its other numbers all the same
        if math.prod(max(side, 1) for side in shape) >= 1 << 60:
            raise ValueError(f"a tensor has the shape {str(shape)[:80]}")
        if kept is not None and not (_is_count(kept) and kept <= math.prod(shape)):
            raise ValueError(f"a tensor of shape {tuple(shape)} keeps {str(kept)[:80]} values")
        if not _is_count(base) or base >= 1 << (8 * DTYPES[dtype].itemsize - 1):
            raise ValueError(f"a tensor has the base {str(base)[:80]}")
        entry = cls(dtype, tuple(shape), kept, base, tuple(map(str, packed["sums"])))
        if len(entry.sums) != len(entry.parts(0)):
            raise ValueError(f"a tensor has {len(entry.sums)} parts")
        return entry


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


@dataclass(frozen=True)
class Manifest:
    """All that a compact file holds beside the parts of its tensors.

    Args:
        names: in the model's order, which tensor each name stands for; tied names share one.
        tensors: the tensors.
        settings: what a checkpoint has beside its model.
    """

    names: Mapping[str, int]
    tensors: Sequence[StoredTensor]
    settings: Mapping[str, Any]

    def pack(self) -> bytes:
        """As JSON.

        Raises ValueError for settings of a type that is not stored.
        """
        try:
            settings = {key: to_json(value, key) for key, value in self.settings.items()}
        except RecursionError:
            raise ValueError("The settings are nested too deeply for a compact file.") from None
        tensors = [asdict(entry) for entry in self.tensors]
        packed = {"names": dict(self.names), "tensors": tensors, "settings": settings}
        return json.dumps(packed, separators=(",", ":"), allow_nan=False).encode()

    @classmethod
    def unpack(cls, data: bytes) -> "Manifest":
        """What :meth:`pack` gave, from an untrusted file.

        Raises ValueError where it is anything else.
        """
        try:
            packed = read_json(data)
            tensors = [StoredTensor.checked(entry) for entry in packed["tensors"]]
            names = dict(packed["names"])
            settings = {key: from_json(value) for key, value in packed["settings"].items()}
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"its manifest has another form ({error})") from None
        if not all(type(i) is int and 0 <= i < len(tensors) for i in names.values()):
            raise ValueError("a name stands for a tensor that is not there")
        if set(names.values()) != set(range(len(tensors))):
            raise ValueError("a tensor has no name")
        return cls(names, tensors, settings)

    def parts(self) -> list[str]:
        """The names of all parts."""
        return [name for i, entry in enumerate(self.tensors) for name in entry.parts(i)]

    def check_size(self, file_size: int) -> None:
        """Raise ValueError where the tensors are out of proportion to a file of this size."""
        claimed = sum(entry.nbytes for entry in self.tensors)
        if claimed > max(FREE, MAX_RATIO * file_size):
            raise ValueError(
                f"its {file_size} bytes claim {claimed} bytes of tensors, which is more than "
                f"{MAX_RATIO} for each"
            )


def read_json(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises ValueError for anything else, for NaN and infinity, and for a name given twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    named = dict(pairs)
    if len(named) != len(pairs):
        raise ValueError("a name is given twice")
    return named


def _refuse(constant: str) -> None:
    raise ValueError(f"it says {constant}, which is no number")


_ITSELF = (type(None), bool, int, str)


def to_json(value: Any, where: str) -> Any:
    """The value in types that JSON has.

    Args:
        where: its place in the checkpoint, for the error message.

    Raises ValueError for a value of any other type.
    """
    kind = type(value)
    if kind in _ITSELF:
        return value
    if kind is float:
        return value if math.isfinite(value) else {"float": str(value)}
    if kind is list:
        return [to_json(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if kind is tuple:
        return {"tuple": to_json(list(value), where)}
    if kind is Namespace:
        return {"Namespace": _named(vars(value), where)}
    if kind is dict and all(type(key) is str for key in value):
        return {"dict": _named(value, where)}
    if kind is dict:
        return {"items": [to_json([key, item], f"{where}.{key}") for key, item in value.items()]}
    raise ValueError(
        f"{where} is of the type {kind.__module__}.{kind.__qualname__}, which a compact file does "
        "not hold: it holds None, bool, int, float, str, list, tuple, dict and argparse.Namespace."
    )


def _named(values: dict[str, Any], where: str) -> dict[str, Any]:
    return {key: to_json(item, f"{where}.{key}") for key, item in values.items()}


def from_json(value: Any) -> Any:
    """What :func:`to_json` was given.

    Raises ValueError for a tag that it does not write, and TypeError for a key that is no key.
    """
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) != 1:
        raise ValueError("a value has no type")
    ((tag, inner),) = value.items()
    if tag == "float" and inner in ("nan", "inf", "-inf"):
        return float(inner)
    if tag == "tuple" and isinstance(inner, list):
        return tuple(from_json(inner))
    if tag == "items" and isinstance(inner, list):
        return {key: item for key, item in from_json(inner)}
    if tag in ("dict", "Namespace") and isinstance(inner, dict):
        named = {key: from_json(item) for key, item in inner.items()}
        if tag == "dict":
            return named
        namespace = Namespace()
        vars(namespace).update(named)  # Namespace(**named) fails for the name `self`
        return namespace
    raise ValueError(f"a value has the type {tag[:40]!r}")
