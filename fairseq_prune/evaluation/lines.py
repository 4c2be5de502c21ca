"""Translating lines of text that are in no data set, with any kind of model.

A further kind of model is one more :class:`LineTranslator`, entered in OPENERS.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.exports import CTRANSLATE2, INT8
from fairseq_prune.exports.forms import CHECKPOINT, COMPACT, form_of, task_of
from fairseq_prune.files.closing import Closing
from fairseq_prune.files.registry import Lazy

if TYPE_CHECKING:
    from fairseq_prune.evaluation.segmentation import Cutter, Segmentation

BATCH = 32  # sentences, where neither their number nor that of tokens is given
_SHOWN = 40  # characters of a line in a message

# by what export calls the form: given the model's path, the settings and the segmentation, opens a
# LineTranslator, or raises ValueError in a sentence
OPENERS: Mapping[str, Lazy] = {
    CHECKPOINT: Lazy("fairseq_prune.evaluation.lines_of_checkpoint", "opened"),
    COMPACT: Lazy("fairseq_prune.evaluation.lines_of_checkpoint", "opened"),
    INT8: Lazy("fairseq_prune.evaluation.lines_of_checkpoint", "opened"),
    CTRANSLATE2: Lazy("fairseq_prune.evaluation.lines_of_folder", "opened"),
}


class LineTranslator(Closing):
    """Translates lines of text; a context manager.

    Args:
        path: of the model, for messages.
        cutter: makes tokens of lines and lines of tokens.
        positions: how many tokens a source may have, its end included.
    """

    def __init__(self, path: str, cutter: "Cutter", positions: int) -> None:
        self._path, self._cutter, self._positions = path, cutter, positions

    def translate(self, lines: Sequence[str]) -> list[str]:
        """The best translation of each line, in their order; of an empty line an empty one.

        Raises ValueError, one sentence, where a line is longer than the model can take.
        """
        cut = [self._cutter.cut(line) for line in lines]
        for line, tokens in zip(lines, cut, strict=True):
            self._check_length(line, len(tokens) + 1)
        there = [number for number, tokens in enumerate(cut) if tokens]
        found = [""] * len(cut)
        if there:
            best = self.search([cut[number] for number in there])
            for number, text in zip(there, best, strict=True):
                found[number] = self._cutter.join(text)
        return found

    def _check_length(self, line: str, length: int) -> None:
        if length > self._positions:
            raise ValueError(
                f"the line that begins with {line.strip()[:_SHOWN]!r} has {length:,} tokens, its "
                f"end included, and {self._path} takes {self._positions:,}: cut it in two."
            )

    @abstractmethod
    def search(self, sentences: list[list[str]]) -> list[str]:
        """The best translation of each sentence, its tokens with spaces between them.

        Args:
            sentences: the tokens of each, at least one; they have no end.
        """


def open_lines(model: str, settings: Settings, segmentation: "Segmentation") -> LineTranslator:
    """What translates lines with a model.

    Args:
        model: a checkpoint, an ensemble, a compact file or an exported folder.
        settings: how to search; data may be empty where the model is a folder.

    Raises ValueError, one sentence, where model, data and settings do not go together.
    """
    segmentation.check()
    settings.check_search()
    if settings.max_tokens is None and settings.batch_size is None:
        settings = replace(settings, batch_size=BATCH)
    task_of(model, settings.model_overrides).check_text("translate")
    opened: LineTranslator = OPENERS[form_of(model)](model, settings, segmentation)
    return opened


def batches_of(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Numbers of sentences of these lengths, ``size`` at a time, those of like length together."""
    order = sorted(range(len(lengths)), key=lambda number: (lengths[number], number))
    return [order[start : start + size] for start in range(0, len(order), size)]
