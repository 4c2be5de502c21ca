"""What a checkpoint's pickle would make, added up without making it.

torch calls only what is on its list and ours, but some of that copies what it is given: a file of a
megabyte that names the same text a hundred thousand times takes all memory. Here the pickle is gone
through with sizes in the place of values; what is called, and with what, is bounded by it.
"""

import math
import pickletools
from collections.abc import Callable, Mapping
from typing import IO, Any

ITEM = 64  # bytes of an entry in a list, dict or tuple, about
# a file may ask for this many bytes for each of its own, small files for as many as FREE
RATIO, FREE = 8, 1 << 26
_MOST = 5_000_000  # steps; a checkpoint of 1,000 tensors has 50,000
_LARGEST = 1_000_000  # values in a tuple, and in those in it
# of the names that torch allows, those that make an object of any size out of a number, or call
# what they are given
_GROWING = (
    *("builtins.bytearray", "__builtin__.bytearray", "torch.storage.", "torch.Tensor"),
    *("torch._utils.", "torch._tensor."),
)
_TENSORS = tuple(f"torch._utils._rebuild_tensor{version}" for version in ("", "_v2", "_v3"))
_NEEDED = (*_TENSORS, "torch._utils._rebuild_parameter")
# classes that stand for themselves, as the type of a node of omegaconf's: nothing calls them
_CLASSES = ("str", "int", "float", "bool", "list", "tuple", "dict")
_UNCALLED = (
    *(f"{module}.{name}" for module in ("builtins", "__builtin__") for name in _CLASSES),
    "numpy.ndarray",
)
_BYTES = {  # of a number in a storage; one where it is not known
    "ComplexDouble": 16,
    **dict.fromkeys(("Double", "Long", "ComplexFloat"), 8),
    **dict.fromkeys(("Float", "Int", "QInt32"), 4),
    **dict.fromkeys(("Half", "Short", "BFloat16"), 2),
}


class Grows(ValueError):
    """A file that would take more memory than its own size says; it was not read."""


class _Value:
    """What stands for a value.

    Args:
        size: in bytes, without what it refers to.
        said: itself, where it is a text or a number, or names something.
        items: of a tuple; None for what is none.
    """

    __slots__ = ("items", "said", "size", "values")

    def __init__(
        self, size: int = 0, said: Any = None, items: "tuple[_Value, ...] | None" = None
    ) -> None:
        self.size, self.said, self.items = size, said, items
        self.values: int = 1 + sum(item.values for item in items or ())


class _Name(str):
    """The name of something that a pickle can call."""


class Sizes:
    """Adds up what the pickles of one file would make.

    Args:
        size: of the file, in bytes.
        records: size of each storage by its key; None where the file does not say it, as those of
            torch < 1.6.
    """

    def __init__(self, size: int, records: Mapping[str, int] | None) -> None:
        self._limit = max(FREE, RATIO * size)
        self._size, self._records = size, records
        self._copied = self._claimed = self._steps = 0
        self._storages: dict[Any, int] = {}
        self._tensors: set[Any] = set()

    def add(self, file: IO[bytes]) -> None:
        """Go through one pickle.

        Raises Grows, with the end of a sentence that begins with the file's name, and other
        exceptions for what is no pickle of torch's.
        """
        self._stack: list[_Value] = []
        self._marks: list[list[_Value]] = []
        self._memo: dict[int, _Value] = {}
        for opcode, argument, _ in pickletools.genops(file):
            self._steps += 1
            if self._steps > _MOST:
                raise Grows(f"has a pickle of more than {_MOST:,} steps, which no checkpoint has")
            step = _STEPS.get(opcode.name)
            if step is None:
                raise ValueError(f"torch writes no {opcode.name}")
            step(self, argument)

    # ------------------------------------------------------------------- what is on the stack
    def _push(self, value: Any) -> None:
        plain = isinstance(value, int | str) and not isinstance(value, bool)
        size = len(value) if isinstance(value, str | bytes) else 0
        self._stack.append(_Value(size, value if plain else None))

    def _made(self, items: list[_Value]) -> None:
        made = _Value(0, None, tuple(items))
        if made.values > _LARGEST:  # it takes as long to be looked up
            raise Grows(f"has a tuple of more than {_LARGEST:,} values")
        self._stack.append(made)

    def _name(self, argument: str) -> None:
        name = _Name(argument.replace(" ", ".", 1))
        grows = name.startswith(_GROWING) and name not in _NEEDED
        is_tensor = name.startswith("torch.") and name.endswith("Tensor")
        if grows or is_tensor:
            raise Grows(f"holds {name}, which no checkpoint of fairseq needs and may take memory")
        self._stack.append(_Value(0, name))

    def _since_mark(self) -> list[_Value]:
        found, self._stack = self._stack, self._marks.pop()
        return found

    def _mark(self, _: Any) -> None:
        self._marks.append(self._stack)
        self._stack = []

    def _last(self, count: int) -> list[_Value]:
        items = self._stack[-count:]
        if len(items) < count:
            raise ValueError("it takes more than there is")
        del self._stack[-count:]
        return items

    def _into(self, count: int) -> None:
        self._stack[-1].size += ITEM * count

    # ------------------------------------------------------------------- what is made of it
    def _call(self, _: Any) -> None:
        given, called = self._stack.pop(), self._stack.pop()
        name = called.said if isinstance(called.said, _Name) else ""
        words = given.items or ()
        if name in _UNCALLED or name.startswith("omegaconf.") and words:
            raise Grows(f"calls {name}, which no checkpoint of fairseq does and may take memory")
        if name == "_codecs.encode" and [word.said for word in words[1:]] != ["latin1"]:
            raise Grows("encodes a text as no checkpoint of fairseq does, which may take memory")
        if name in _TENSORS:
            self._rebuild(words)
        self._stack.append(_Value(self._copy(given)))

    def _build(self, _: Any) -> None:
        size = self._copy(self._stack.pop())
        self._stack[-1].size += size

    def _copy(self, value: _Value) -> int:
        """The size of what is given to a call, which may copy it."""
        before, left = self._copied, [value]
        while left:
            one = left.pop()
            self._copied += one.size + ITEM
            left += one.items or ()
            if self._copied > self._limit:
                raise Grows(f"copies more than {self._limit:,} bytes in a file of {self._size:,}")
        return self._copied - before

    def _storage(self, _: Any) -> None:
        _, kind, key, _, count, *_ = (part.said for part in self._stack.pop().items or ())
        width = _BYTES.get(str(kind).rpartition(".")[2].removesuffix("Storage"), 1)
        self._storages[key] = max(self._storages.get(key, 0), count * width)
        there = self._size if self._records is None else self._records[key]
        asked = sum(self._storages.values()) if self._records is None else self._storages[key]
        if asked > there:
            raise Grows(f"claims {asked:,} bytes of numbers where it has {there:,}")
        self._stack.append(_Value(0, (key, width)))

    def _rebuild(self, given: tuple[_Value, ...]) -> None:
        storage, start, *views = (value for value in given[:4])
        if any(view.items is None for view in views):
            raise ValueError("a tensor's shape is no tuple")
        shape, strides = (tuple(int(side.said) for side in view.items or ()) for view in views)
        key, width = storage.said
        about = (key, start.said, shape, strides)
        if about not in self._tensors:
            self._tensors.add(about)
            self._claimed += abs(math.prod(shape)) * width
        if self._claimed > self._limit:
            raise Grows(f"has tensors of {self._claimed:,} bytes in a file of {self._size:,}")


def _nothing(sizes: Sizes, _: Any) -> None:
    pass


def _pushed(sizes: Sizes, argument: Any) -> None:
    sizes._push(argument)


_Step = Callable[[Sizes, Any], None]
_STEPS: dict[str, _Step] = {
    **dict.fromkeys(("PROTO", "STOP"), _nothing),
    **dict.fromkeys(("NONE", "NEWTRUE", "NEWFALSE", "BINFLOAT"), _pushed),
    **dict.fromkeys(("EMPTY_LIST", "EMPTY_DICT", "BINUNICODE"), _pushed),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "SHORT_BINSTRING"), _pushed),
    "GLOBAL": Sizes._name,
    "MARK": Sizes._mark,
    **dict.fromkeys(("REDUCE", "NEWOBJ"), Sizes._call),
    "BUILD": Sizes._build,
    "BINPERSID": Sizes._storage,
    "EMPTY_TUPLE": lambda sizes, _: sizes._made([]),
    "TUPLE": lambda sizes, _: sizes._made(sizes._since_mark()),
    "TUPLE1": lambda sizes, _: sizes._made(sizes._last(1)),
    "TUPLE2": lambda sizes, _: sizes._made(sizes._last(2)),
    "TUPLE3": lambda sizes, _: sizes._made(sizes._last(3)),
    "APPEND": lambda sizes, _: sizes._into(len(sizes._last(1))),
    "APPENDS": lambda sizes, _: sizes._into(len(sizes._since_mark())),
    "SETITEM": lambda sizes, _: sizes._into(len(sizes._last(2))),
    "SETITEMS": lambda sizes, _: sizes._into(len(sizes._since_mark())),
    **dict.fromkeys(
        ("BINPUT", "LONG_BINPUT"), lambda s, number: s._memo.__setitem__(number, s._stack[-1])
    ),
    **dict.fromkeys(
        ("BINGET", "LONG_BINGET"), lambda s, number: s._stack.append(s._memo[number])
    ),
}  # fmt: skip
