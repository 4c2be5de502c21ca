"""Makes docs/python/reference.md of the docstrings of what is public.

python -m scripts.reference
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import fairseq_prune

PAGE = Path(__file__).resolve().parents[1] / "docs" / "python" / "reference.md"
HEAD = """# Reference of the Python interface

The docstrings of what `fairseq_prune.__all__` names; [this page](README.md) shows it at work.
Made by `python -m scripts.reference`; a test compares.
"""
BY_HAND = ("Masks",)  # the classes whose objects a user makes; functions make the others
WIDEST = 100


def page() -> str:
    """The page."""
    functions = [name for name in fairseq_prune.__all__ if not is_class(name)]
    classes = [name for name in fairseq_prune.__all__ if is_class(name)]
    parts = [HEAD]
    for name in functions:
        parts += entry("##", name, getattr(fairseq_prune, name))
    for name in classes:
        parts += of_class(name, getattr(fairseq_prune, name))
    return "\n".join(parts)


def is_class(name: str) -> bool:
    """Whether a public name is a class's."""
    return isinstance(getattr(fairseq_prune, name), type)


def of_class(name: str, kind: type) -> Iterator[str]:
    """The parts about a class: itself, its properties, its methods."""
    yield f"## {name}\n"
    if name in BY_HAND:
        yield f"```python\n{signature(name, kind.__init__)}\n```\n"  # type: ignore[misc]
    yield prose(kind.__doc__)
    properties = {n: value for n, value in members(kind) if isinstance(value, property)}
    for member, value in properties.items():
        text = " ".join(prose(value.__doc__).split())
        yield f"- `{member}`: `{returned(value.fget)}`. {text}"
    if properties:
        yield ""
    for member, value in members(kind):
        if not isinstance(value, property):
            yield from entry("###", f"{name}.{member}", value)


def members(kind: type) -> list[tuple[str, Any]]:
    """The public properties and methods that a class defines, in its order."""
    kinds = (FunctionType, property, classmethod)
    return [(n, v) for n, v in vars(kind).items() if not n.startswith("_") and isinstance(v, kinds)]


def entry(level: str, name: str, function: Any) -> Iterator[str]:
    """The parts about a function or method."""
    function = getattr(function, "__func__", function)
    yield f"{level} {name}\n"
    yield f"```python\n{signature(name.rpartition('.')[2], function)}\n```\n"
    yield prose(function.__doc__)


def signature(name: str, function: Any) -> str:
    """How it is called, as its source spells it."""
    arguments = defined(function).args
    every = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(every) - len(arguments.defaults)) + [*arguments.defaults]
    words = [_argument(a, d) for a, d in zip(every, defaults, strict=True)]
    words = [word for word in words if word not in ("self", "cls")]
    if arguments.kwonlyargs:
        words.append("*")
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    words += [_argument(a, d) for a, d in pairs]
    words += ["**" + _argument(arguments.kwarg, None)] if arguments.kwarg else []
    tail = "" if name in BY_HAND else f" -> {returned(function)}"
    line = f"{name}({', '.join(words)}){tail}"
    if len(line) <= WIDEST:
        return line
    return f"{name}(\n" + "".join(f"    {word},\n" for word in words) + f"){tail}"


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    text = ast.unparse(argument)
    return text if default is None else f"{text} = {ast.unparse(default)}"


def returned(function: Any) -> str:
    """What a function gives, as its source spells it."""
    found = defined(function).returns
    return "" if found is None else ast.unparse(found).strip("'")


def defined(function: Any) -> ast.FunctionDef:
    """The definition in the source."""
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(node, ast.FunctionDef)
    return node


def prose(docstring: str | None) -> str:
    """A docstring in Markdown: its arguments as a list, names as code."""
    text = inspect.cleandoc(docstring or "")
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", text).replace("``", "`")
    return re.sub(r"^Args:\n((?:    .*\n?|\n)+)", _arguments, text, flags=re.M).rstrip() + "\n"


def _arguments(found: re.Match[str]) -> str:
    text = textwrap.dedent(found[1])
    return re.sub(r"^([\w, ]+): ", _item, text, flags=re.M).rstrip() + "\n\n"


def _item(found: re.Match[str]) -> str:
    return "- " + ", ".join(f"`{name}`" for name in found[1].split(", ")) + ": "


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
