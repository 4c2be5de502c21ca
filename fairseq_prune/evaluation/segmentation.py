"""How plain text becomes the tokens of a dictionary, and text again: by fairseq's own encoders."""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairseq.data import encoders
from fairseq.tokenizer import tokenize_line

from fairseq_prune.evaluation.subwords import subwords_in
from fairseq_prune.exports.pieces import given_models
from fairseq_prune.files.needs import need

TOKENIZERS = ("moses", "nltk", "space")  # fairseq's
_FEWEST = 0.05  # of a dictionary's words: fewer that look like subwords may be words
_PACKAGES = {"moses": "sacremoses", "nltk": "nltk"}


@dataclass(frozen=True)
class Segmentation:
    """How lines of text become the tokens of a dictionary, and are joined again.

    Args:
        sentencepiece: the SentencePiece model, or those of source and target; None for that beside
            the model or in the data, if any.
        bpe_codes: the file that subword-nmt learned.
        tokenizer: what cuts text into words before: one of TOKENIZERS; None for nothing.
        tokens: the lines are tokens already, and so are the translations.
    """

    sentencepiece: Sequence[str] | None = None
    bpe_codes: str | None = None
    tokenizer: str | None = None
    tokens: bool = False

    def check(self) -> None:
        """Raise ValueError, one sentence, where this cannot work."""
        given = [n for n in ("sentencepiece", "bpe_codes", "tokenizer") if getattr(self, n)]
        if self.tokens and given:
            raise ValueError(f"tokens says that nothing is to be cut up, and {given[0]} how: "
                             "leave out one of them.")  # fmt: skip
        if self.sentencepiece and self.bpe_codes:
            raise ValueError("sentencepiece and bpe_codes cut up the same text: give one of them.")
        if self.bpe_codes is not None:
            if not Path(self.bpe_codes).is_file():
                raise ValueError(f"bpe_codes {self.bpe_codes} is not a file; give that of codes.")
            need("subword_nmt", "bpe_codes")
        if self.tokenizer is not None and self.tokenizer not in TOKENIZERS:
            known = ", ".join(TOKENIZERS)
            raise ValueError(f"tokenizer {self.tokenizer} is none of fairseq's: {known}.")
        if self.tokenizer in _PACKAGES:
            need(_PACKAGES[self.tokenizer], f"tokenizer {self.tokenizer}")

    def cutter(
        self,
        languages: tuple[str, str],
        symbols: Sequence[list[str]],
        found: Sequence[Path],
        place: str,
    ) -> "Cutter":
        """What cuts and joins the lines of one model.

        Args:
            languages: source and target.
            symbols: the tokens of source and target.
            found: the SentencePiece models of source and target that lie there, if any.
            place: where they would lie, for messages.

        Raises ValueError where the dictionary is of subwords and nothing says how to make them.
        """
        model = self._model(symbols, found, place)
        kind = "sentencepiece" if model else "subword_nmt" if self.bpe_codes else None
        source, target = languages
        said: Any = Namespace(
            tokenizer=self.tokenizer, source_lang=source, target_lang=target,
            bpe=kind, sentencepiece_model=model, bpe_codes=self.bpe_codes,
        )  # fmt: skip
        steps = encoders.build_tokenizer(said), encoders.build_bpe(said)
        return Cutter([step for step in steps if step is not None])

    def _model(self, symbols: Sequence[list[str]], found: Sequence[Path], place: str) -> str | None:
        """The SentencePiece model of the source; None without any."""
        if self.sentencepiece is not None:
            return str(given_models(self.sentencepiece, symbols)[0])
        if self.tokens or self.bpe_codes is not None:
            return None
        mark = None if found else subwords_in(symbols[0][4:], _FEWEST)
        if mark is not None:
            lacking = "--bpe-codes FILE" if mark == "@@" else "--sentencepiece MODEL"
            raise ValueError(
                f"The words of {place} are subwords ({mark}), and it has no SentencePiece model "
                f"that cuts up text so: give {lacking}, or --tokens for lines that are cut up (in "
                "Python the same names as arguments)."
            )
        return str(found[0]) if found else None


class Cutter:
    """Makes tokens of a line, and a line of tokens.

    Args:
        steps: fairseq's tokenizer and its encoder of subwords, those that there are.
    """

    def __init__(self, steps: Sequence[Any]) -> None:
        self._steps = list(steps)

    def cut(self, line: str) -> list[str]:
        """The tokens of a line, as fairseq-interactive makes them; none of an empty one."""
        line = line.strip()
        for step in self._steps:
            line = step.encode(line)
        tokens: list[str] = tokenize_line(line)
        return tokens

    def join(self, tokens: str) -> str:
        """The line of tokens with spaces between them."""
        for step in reversed(self._steps):
            tokens = step.decode(tokens)
        return " ".join(tokens.splitlines())  # a piece of bytes may be the end of a line
