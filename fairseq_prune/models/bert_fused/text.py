"""The text that BERT reads, from fairseq's source tokens.

A batch has only the numbers of its tokens, in training as in decoding, whether it comes from
binarised data or from ``fairseq-interactive``; so the text is made of them, always the same way.
"""

import logging
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from fairseq_prune.pruning.refusal import Refusal

PADDING = -1  # no tokenizer has it
PIECES = ("none", "sentencepiece", "subword_nmt")
_MOSES = "+moses"

logger = logging.getLogger("fairseq_prune")


@dataclass(frozen=True)
class TextSettings:
    """How tokens become text; readers with the same settings read the same.

    Args:
        model: of which the tokenizer is.
        pieces: how subwords are joined, one of `PIECES` (fairseq's --post-process).
        language: whose Moses tokens are joined after that; None for none.
    """

    model: str
    pieces: str
    language: str | None


def text_settings(model: str, text: str, language: str | None) -> TextSettings:
    """The settings that --bert-text stands for.

    Raises Refusal where it is unknown, or sacremoses is missing.
    """
    pieces = text.removesuffix(_MOSES)
    if pieces not in PIECES:
        raise Refusal(
            f"--bert-text {text!r} is unknown; choose {', '.join(PIECES)}, each also with {_MOSES} "
            "(tokens of Moses are joined too)."
        )
    return TextSettings(model, pieces, (language or "en") if text != pieces else None)


@dataclass
class BertReader:
    """Makes BERT's input of a batch of source tokens.

    Args:
        dictionary: fairseq's, of the source.
        tokenizer: HuggingFace's.
        most: how many pieces BERT takes at most.
    """

    dictionary: Any
    tokenizer: Any
    settings: TextSettings
    most: int
    cut: int = 0  # sentences so far that had more
    _moses: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.settings.language is not None:
            try:
                from sacremoses import MosesDetokenizer
            except ImportError:
                raise Refusal(
                    f"--bert-text {self.settings.pieces}{_MOSES} needs sacremoses, which is not "
                    "installed: pip install sacremoses."
                ) from None
            self._moses = MosesDetokenizer(self.settings.language)

    def __deepcopy__(self, memo: Any) -> "BertReader":
        return self  # a copy of the model reads the same

    def __call__(self, src_tokens: Tensor) -> Tensor:
        """Numbers of pieces (batch, pieces), on the CPU; `PADDING` on the right."""
        rows = [self._pieces(self.text(row)) for row in src_tokens.tolist()]
        longest = max(map(len, rows), default=0)
        found = torch.full((len(rows), longest), PADDING, dtype=torch.long)
        for place, row in enumerate(rows):
            found[place, : len(row)] = torch.tensor(row)
        return found

    def text(self, tokens: list[int]) -> str:
        """The text of a sentence; words that fairseq does not know are BERT's unknown token."""
        text: str = self.dictionary.string(
            tokens,
            self.settings.pieces,
            extra_symbols_to_ignore={self.dictionary.pad()},
            unk_string=self.tokenizer.unk_token or "",
        )
        return str(self._moses.detokenize(text.split())) if self._moses else text

    def _pieces(self, text: str) -> list[int]:
        pieces: list[int] = self.tokenizer(text, verbose=False)["input_ids"]
        if len(pieces) > self.most:
            self._tell()
            pieces = self.tokenizer(text, truncation=True, max_length=self.most)["input_ids"]
        return pieces or [self.tokenizer.unk_token_id or 0]  # nothing to attend to is a NaN

    def _tell(self) -> None:
        self.cut += 1
        if self.cut in (1, 10, 100, 1000) or self.cut % 10_000 == 0:
            logger.warning(
                "BERT takes %d pieces of a sentence at most: %d so far were cut",
                self.most, self.cut,
            )  # fmt: skip


def most_pieces(tokenizer: Any, network: Any) -> int:
    """How many pieces fit, by the tokenizer and by the table of positions."""
    # a tokenizer that does not know says 10^30
    table = getattr(network.config, "max_position_embeddings", None)
    return min(int(tokenizer.model_max_length), int(table) if table else 10**30)
