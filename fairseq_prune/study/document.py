"""YAML as a tree of texts that know their lines, so that an error can name the place.

Nothing in a file is run or converted here: tags and aliases are refused, a scalar is its text
(YAML itself would take the structure 2:4 for the number 124).
"""

import difflib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import yaml  # type: ignore[import-untyped]

from fairseq_prune.files.text import first_line

_DIGITS = 9  # a seed must be below 2^32, and nobody trains longer
_MOST = 200_000  # bytes: a study is written by hand, and YAML takes its time
_DEEPEST = 50
_LONGEST = 2000  # letters of a sentence about it


@dataclass(frozen=True)
class Node:
    """A place in a YAML file.

    Args:
        file: its name, for errors.
        path: the keys that lead here, joined by dots.
        line: from 1.
        value: text, a list of nodes, or nodes by key.
    """

    file: str
    path: str
    line: int
    value: "str | list[Node] | dict[str, Node]"

    def fail(self, sentence: str) -> NoReturn:
        """Raise ValueError with the place before the sentence."""
        # what is quoted may have more lines than one, or one that has no end
        said = " ".join(sentence.split())[:_LONGEST]
        raise ValueError(f"{self.file}, line {self.line}: {said}")

    @property
    def text(self) -> str:
        """The scalar here; raises ValueError where there is none."""
        if not isinstance(self.value, str) or not self.value:
            self.fail(f"{self.path or 'the file'} must be a single value.")
        return self.value

    @property
    def number(self) -> float:
        """The scalar here as a number; raises ValueError where it is none."""
        try:
            value = float(self.text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            self.fail(f"{self.path} is {self.text!r}, which is no number.")
        return value

    @property
    def whole(self) -> int:
        """The scalar here as a whole number from 0; raises ValueError where it is none."""
        if not self.text.isascii() or not self.text.isdigit():
            self.fail(f"{self.path} is {self.text!r}, which is no whole number.")
        if len(self.text) > _DIGITS:
            self.fail(f"{self.path} is {self.text[:_DIGITS]}..., which is too large.")
        return int(self.text)

    @property
    def truth(self) -> bool:
        """Whether true stands here; raises ValueError for what is neither true nor false."""
        if self.text not in ("true", "false"):
            self.fail(f"{self.path} is {self.text!r}, which is neither true nor false.")
        return self.text == "true"

    def as_kind(self, kind: str) -> bool | int | float | str:
        """The scalar here as a field of a dataclass has it, whose type is written ``kind``."""
        if "bool" in kind:
            return self.truth
        if "int" in kind:
            return self.whole
        return self.number if "float" in kind else self.text

    @property
    def items(self) -> "list[Node]":
        """The list here; a single value counts as a list of one. Raises ValueError for others."""
        if isinstance(self.value, list):
            if not self.value:
                self.fail(f"{self.path} is an empty list.")
            return self.value
        return [self]

    @property
    def entries(self) -> "dict[str, Node]":
        """The mapping here; raises ValueError where there is none."""
        if not isinstance(self.value, dict):
            self.fail(f"{self.path or 'the file'} must have keys and values.")
        return self.value

    def keys(self, known: Sequence[str], needed: Sequence[str] = ()) -> "dict[str, Node]":
        """The mapping here; raises ValueError for a key not in ``known`` and for a missing one."""
        where = f" in {self.path}" if self.path else ""
        for key, node in self.entries.items():
            if key not in known:
                close = difflib.get_close_matches(key, known, 1)
                guess = f" Is it {close[0]}?" if close else ""
                node.fail(f"unknown key {key!r}{where}; known are {', '.join(known)}.{guess}")
        for key in needed:
            if key not in self.entries:
                self.fail(f"{key} is missing{where}.")
        return self.entries


def read_yaml(path: Path) -> Node:
    """The file's tree.

    Raises ValueError where it cannot be read, is no YAML, or has aliases, tags or a key twice.
    """
    try:
        if path.stat().st_size > _MOST:
            raise ValueError(f"{path} is larger than 200 kB: no file of settings.")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}.") from None
    try:
        _check_events(text, path)
        tree = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or first_line(error)
        raise ValueError(f"{path}{line}: {problem}; it must be YAML.") from None
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply for a file of settings.") from None
    if tree is None:
        raise ValueError(f"{path} is empty.")
    return _node(tree, str(path), "")


def _check_events(text: str, path: Path) -> None:
    """Refuse what a file of settings has no need of: aliases can grow without bounds.

    Nor does it nest: for each level that is open, YAML looks at all others again.
    """
    depth = 0
    for event in yaml.parse(text, Loader=yaml.BaseLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise ValueError(f"{path} is nested too deeply for a file of settings.")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            what = "an alias or anchor (& or *)"
        elif getattr(event, "tag", None):
            what = f"the tag {event.tag}"
        else:
            continue
        line = event.start_mark.line + 1
        raise ValueError(f"{path}, line {line}: {what} has no place here; write the value out.")


def _node(tree: yaml.Node, file: str, path: str) -> Node:
    line = tree.start_mark.line + 1
    if isinstance(tree, yaml.MappingNode):
        return Node(file, path, line, dict(_pairs(tree, file, path)))
    if isinstance(tree, yaml.SequenceNode):
        return Node(file, path, line, [_node(item, file, path) for item in tree.value])
    return Node(file, path, line, str(tree.value))


def _pairs(tree: yaml.MappingNode, file: str, path: str) -> Iterator[tuple[str, Node]]:
    seen: dict[str, int] = {}
    for key, value in tree.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise ValueError(f"{file}, line {line}: a key must be a single word.")
        if key.value in seen:
            raise ValueError(
                f"{file}, line {line}: {key.value} stands twice, first in line {seen[key.value]}."
            )
        seen[key.value] = line
        made = _node(value, file, f"{path}.{key.value}" if path else key.value)
        # an error about a key names the key's line, not that of what it holds
        yield key.value, Node(file, made.path, line, made.value)
