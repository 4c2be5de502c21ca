"""Subwords that were not joined: what their marks look like, and which flag joins them."""

from collections.abc import Sequence

# by the mark: what --remove-bpe may be, as fairseq has it
JOINED_BY = {"\N{LOWER ONE EIGHTH BLOCK}": ("sentencepiece",), "@@": ("@@ ", "@@", "subword_nmt")}
FLAGS = {"\N{LOWER ONE EIGHTH BLOCK}": "--remove-bpe sentencepiece", "@@": "--remove-bpe"}


def subwords_in(texts: Sequence[str], share: float) -> str | None:
    """The mark of subwords that at least this share of the texts (words, or lines) have, or None.

    SentencePiece's stands before a word, subword-nmt's ends a piece that goes on.
    """
    begins, goes_on = JOINED_BY
    counts = {
        begins: sum(begins in text for text in texts),
        goes_on: sum(f"{goes_on} " in f"{text} " for text in texts),
    }
    mark = max(counts, key=counts.__getitem__)
    return mark if counts[mark] and counts[mark] >= share * len(texts) else None


def missing_join(mark: str) -> str:
    """What it means that subwords are left, and what to do: the end of a sentence."""
    return (
        f"BLEU and chrF would be of subwords, and compare with no others; give {FLAGS[mark]} "
        "(remove-bpe in the evaluate section of a study)."
    )
