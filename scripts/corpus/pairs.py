"""Sentence pairs out of the files of a corpus, and what is wrong with them, by line."""

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from scripts.corpus import bounds
from scripts.corpus.packed import ARCHIVES, member, opened

# no pattern that looks for an end beyond the next tag: a file may have beginnings only
_SEGMENT = re.compile(r"<(/?)seg\b[^<>]*>", re.IGNORECASE)
_CHOICE = re.compile(r"\{([\w.-]+),([\w.-]+)\}")
_TITLE = re.compile(r"<(title|description)>(.*)</\1>")


def file_of(pattern: str, side: int, language: str) -> str:
    """The file that a pattern means for the source (side 0) or the target (1).

    ``*`` stands for the language, ``{A,B}`` for A in the source's name and B in the target's.
    """
    chosen = _CHOICE.sub(lambda found: found[1 + side], pattern)
    return chosen.replace("*", language)


def lines_of(files: dict[str, Path], wanted: str) -> Iterator[str]:
    """The sentences of a file of the corpus, one a line.

    Args:
        files: by their declared names.
        wanted: a name, or ARCHIVE/MEMBER. Of a member that ends in .xml or .sgm the segments are
            taken (TED's and WMT's test sets), of train.tags.* (TED's talks) the lines without a
            tag, titles and descriptions.

    Raises ValueError where the file is not there, is damaged or is no UTF-8.
    """
    name, _, inner = wanted.partition("/")
    path = next((files[key] for key in files if _plain(key) == _plain(name)), None)
    if path is None:
        raise ValueError(f"the splits name {name}, which is not among the files.")
    if name.endswith(ARCHIVES):
        with member(path, inner) as file:
            yield from _sentences(_decoded(file, f"{path.name}/{inner}"), Path(inner).name)
    else:
        with opened(path) as file:
            yield from _sentences(_decoded(file, path.name), name)


def _plain(name: str) -> str:
    return name.removesuffix(".gz").removesuffix(".xz")


def _decoded(file: IO[bytes], name: str) -> Iterator[str]:
    for number, line in enumerate(bounds.lines(file, name), 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{name}, line {number}: byte {line[error.start]:#04x} is no UTF-8; convert the "
                "file (iconv -t UTF-8)."
            ) from None
        # a carriage return belongs to the line's end, a lone one inside would look like an end
        yield text.removesuffix("\n").removesuffix("\r").replace("\r", " ")


def _sentences(lines: Iterator[str], name: str) -> Iterator[str]:
    if name.endswith((".xml", ".sgm")):
        text = _whole(lines, name)
        if name.endswith(".xml"):  # as in the TED sets that others report on
            text = text.replace("\u2019", "'")
        return (html.unescape(" ".join(found.split())) for found in _segments(text))
    if name.startswith("train.tags."):
        # titles and descriptions are sentences too, addresses and keywords are not
        parts = ((line.strip(), _TITLE.fullmatch(line.strip())) for line in lines)
        return (
            title[2].strip() if title else line
            for line, title in parts
            if title or not line.startswith("<")
        )
    return (line.strip(" \t") for line in lines)


def _whole(lines: Iterator[str], name: str) -> str:
    """All lines; raises ValueError where they are more than any test set has."""
    kept, size = [], 0
    for line in lines:
        kept.append(line)
        size += len(line)
        if size > bounds.WHOLE:
            raise ValueError(f"{name} is larger than {bounds.WHOLE:,} letters: no test set.")
    return "\n".join(kept)


def _segments(text: str) -> Iterator[str]:
    """What stands between <seg> and </seg>."""
    start: int | None = None
    for tag in _SEGMENT.finditer(text):
        if not tag[1]:
            start = tag.end() if start is None else start
        elif start is not None:
            yield text[start : tag.start()]
            start = None


def aligned(
    files: dict[str, Path], patterns: Sequence[str], languages: Sequence[str]
) -> Iterator[tuple[str, ...]]:
    """The pairs of several files, one after the other.

    Raises ValueError where the two sides have different numbers of lines.
    """
    for pattern in patterns:
        names = [file_of(pattern, side, language) for side, language in enumerate(languages)]
        sides = [lines_of(files, name) for name in names]
        count = 0
        while True:
            pair = [next(side, None) for side in sides]
            if None in pair:
                break
            count += 1
            yield tuple(text for text in pair if text is not None)
        if any(text is not None for text in pair):
            shorter, longer = names if pair[0] is None else reversed(names)
            raise ValueError(
                f"{shorter} ends after line {count:,}, but {longer} has a line {count + 1:,}: the "
                "two do not belong together, or one is cut."
            )


class Cleaning:
    """Which training pairs are kept, and how many are not.

    Args:
        longest: words that a side may have; None for no limit.
        ratio: words of one side by those of the other, at most; None for no limit.
    """

    def __init__(self, longest: int | None, ratio: float | None) -> None:
        self.longest, self.ratio = longest, ratio
        self.empty: list[int] = []
        self.long = self.uneven = 0

    def keep(self, pairs: Iterable[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
        """The pairs without those that have an empty side, are too long or too uneven."""
        for number, pair in enumerate(pairs, 1):
            counts = [len(text.split()) for text in pair]
            if not all(counts):
                self.empty.append(number)
            elif self.longest is not None and max(counts) > self.longest:
                self.long += 1
            elif self.ratio is not None and max(counts) > self.ratio * min(counts):
                self.uneven += 1
            else:
                yield pair

    def account(self) -> str:
        """What was left out, for people; empty where nothing was."""
        parts = []
        if self.empty:
            first = ", ".join(f"{number:,}" for number in self.empty[:3])
            parts.append(
                f"{len(self.empty):,} with an empty side (line {first}{_more(self.empty)})"
            )
        if self.long:
            parts.append(f"{self.long:,} of more than {self.longest} words")
        if self.uneven:
            parts.append(f"{self.uneven:,} with a side {self.ratio:g} times as long as the other")
        return "; ".join(parts)


def _more(numbers: Sequence[int]) -> str:
    return ", ..." if len(numbers) > 3 else ""


def whole(pairs: Iterable[tuple[str, ...]], split: str) -> Iterator[tuple[str, ...]]:
    """The pairs; raises ValueError where a side is empty, as nothing may leave a test set."""
    for number, pair in enumerate(pairs, 1):
        if not all(text.split() for text in pair):
            side = "source" if not pair[0].split() else "target"
            raise ValueError(
                f"{split}, line {number:,}: the {side} is empty, and a {split} set must be whole; "
                "take the pair out of both files, or write what is missing."
            )
        yield pair
