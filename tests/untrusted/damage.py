"""Damage: byte flips and cuts with fixed seeds, and values where others belong."""

import copy
import random
from argparse import Namespace
from collections.abc import Callable, Iterator
from typing import Any

import torch
from hypothesis import strategies as st

# how many examples each test tries: in every run, and in the long form (marked slow)
FEW, MANY = 5, 1500

# each stands where something else belongs
ODD: tuple[Callable[[], Any], ...] = tuple(
    lambda value=value: copy.deepcopy(value)
    for value in (
        None, True, -1, 0, 2**31, 10**30, -(2**63), 0.5, -1.5, float("nan"), float("inf"), 1e308,
        "", "x", "../../etc/passwd", "\x00", "\ud7ff" * 3, "<script>", "9" * 50, "(a+)+$", "*",
        b"", [], [None], [1, 2], [[]], ["a", "b"], {}, {"": 0}, {"a": None}, {1: 2}, (), (1, "x"),
        [-1, -1], [2**40, 2**40], [[1, 2], 3], {"x": {"y": {}}}, "class-blind", "rigl", "2:4",
        Namespace(), Namespace(arch="lstm", a=[1]),
    )
)  # fmt: skip
TENSORS: tuple[Callable[[], Any], ...] = (
    lambda: torch.ones(0),
    lambda: torch.tensor(3.0),
    lambda: torch.full((2, 2), float("nan")),
    lambda: torch.ones(3, dtype=torch.int64),
    lambda: torch.ones(20, 8, dtype=torch.complex64),
    lambda: torch.ones(1).expand(20, 8),
    lambda: torch.ones(16, 8, dtype=torch.float64),
    lambda: torch.ones(20, 8).to_sparse(),
    lambda: torch.ones(20, 8, dtype=torch.bool),
    lambda: torch.zeros(1, dtype=torch.uint8),
    lambda: torch.ones(8, 16).t(),
)


def places(tree: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The ways that lead to every value of a nested structure."""
    items: Any = ()
    if isinstance(tree, dict):
        items = tree.items()
    elif isinstance(tree, list):
        items = enumerate(tree)
    for key, value in items:
        yield (*here, key)
        yield from places(value, (*here, key))


def changed(tree: Any, way: tuple[Any, ...], value: Any, kind: str) -> None:
    """Put the value there, take away what is there, or call it by another name."""
    for key in way[:-1]:
        tree = tree[key]
    if kind == "set":
        tree[way[-1]] = value
    elif kind == "drop":
        del tree[way[-1]]
    elif isinstance(tree, dict):
        name = value if isinstance(value, str | int) else str(value)
        tree[name] = tree.pop(way[-1])
    else:
        tree.append(value)


@st.composite
def damaged(draw: Any, tree: Any, begin: tuple[Any, ...] = (), tensors: bool = True) -> Any:
    """A copy of the tree with one to three values damaged, below ``begin``."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        part = tree
        for key in begin:
            part = part[key]
        ways = list(places(part))
        if not ways:
            break
        way = draw(st.sampled_from(ways))
        value = draw(st.sampled_from(ODD + (TENSORS if tensors else ())))()
        changed(part, way, value, draw(st.sampled_from(["set", "set", "set", "drop", "rename"])))
    return tree


def spoilt(data: bytes, count: int, seed: int = 1) -> Iterator[bytes]:
    """The bytes, cut somewhere or with a few of them changed, ``count`` times."""
    rng = random.Random(seed)
    for number in range(count):
        if number % 3 == 0:
            yield data[: rng.randrange(len(data))]
            continue
        bad = bytearray(data)
        for _ in range(rng.choice([1, 1, 2, 8, 64])):
            bad[rng.randrange(len(bad))] = rng.randrange(256)
        if number % 3 == 2:  # a piece of it somewhere else
            start = rng.randrange(len(bad))
            bad[start : start + 40] = bad[: rng.randrange(40)]
        yield bytes(bad)
