"""Unknown words, written so that they match nothing.

fairseq writes ``<unk>`` in a translation and ``<<unk>>`` in a reference, so that they are never the
same token. But sacreBLEU takes both apart at their brackets, and chrF at each letter, and the
"unk" of one matches that of the other. Each becomes one character here, which stays one token,
another one on either side, and none that the reference has. A text without unknown words stays as
it is.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_WRITTEN = re.compile("<<unk>>|<unk>")
# sentencepiece writes the first one; characters of private use are for references that have both
_MARKS = ("\N{DOUBLE QUESTION MARK}", "\N{REPLACEMENT CHARACTER}", *map(chr, range(0xE000, 0xF900)))


@dataclass(frozen=True)
class Marks:
    """What stands for an unknown word in translations and sources, and in references.

    Args:
        needed: whether the references have any.
    """

    translation: str
    reference: str
    needed: bool

    def in_translation(self, line: str) -> str:
        """A translation, or a source."""
        line = _WRITTEN.sub(self.translation, line)
        # no reference has that character but for an unknown word
        return line.replace(self.reference, self.translation) if self.needed else line

    def in_reference(self, line: str) -> str:
        """A reference."""
        return _WRITTEN.sub(self.reference, line)


def marks_for(references: Iterable[str]) -> Marks:
    """The marks of texts with these references."""
    present: set[str] = set()
    needed = False
    for line in references:
        present.update(line)
        needed = needed or "<unk>" in line
    free = (mark for mark in _MARKS if mark not in present)
    return Marks(next(free), next(free), needed)


def unmatched(
    translations: Sequence[str], references: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Both, with what fairseq writes for unknown words replaced; doing it again changes nothing."""
    marks = marks_for(references)
    return list(map(marks.in_translation, translations)), list(map(marks.in_reference, references))


def count_unknown(lines: Iterable[str]) -> int:
    """How many unknown words there are as fairseq writes them."""
    return sum(len(_WRITTEN.findall(line)) for line in lines)
