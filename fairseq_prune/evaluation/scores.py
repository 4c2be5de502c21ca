"""Scores of translations, each with what is needed to read it: signature, lengths."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sacrebleu.metrics import BLEU, CHRF

from fairseq_prune.evaluation.unknown import unmatched


@dataclass(frozen=True)
class Scores:
    """Corpus scores of one system.

    BLEU alone misleads for collapsed models, whose output may be short or endless: the brevity
    penalty and the length ratio stand beside it.

    Args:
        bleu, chrf: in [0, 100].
        brevity_penalty: BLEU's, in [0, 1].
        length_ratio: words of the system by words of the reference.
        bleu_signature, chrf_signature: sacreBLEU's account of how they were made.
    """

    bleu: float
    chrf: float
    brevity_penalty: float
    length_ratio: float
    bleu_signature: str
    chrf_signature: str


def score(hypotheses: Sequence[str], references: Sequence[str]) -> Scores:
    """The scores of detokenized ``hypotheses`` against one reference each.

    Unknown words match nothing. Raises ValueError where the numbers of lines differ.
    """
    check_counts(hypotheses, references)
    hypotheses, references = unmatched(hypotheses, references)
    bleu, chrf = BLEU(), CHRF()
    result = bleu.corpus_score(hypotheses, [references])
    return Scores(
        bleu=result.score,
        chrf=chrf.corpus_score(hypotheses, [references]).score,
        brevity_penalty=result.bp,
        length_ratio=result.sys_len / max(1, result.ref_len),
        bleu_signature=str(bleu.get_signature()),
        chrf_signature=str(chrf.get_signature()),
    )


def tokenized_bleu(hypotheses: Sequence[str], references: Sequence[str]) -> tuple[float, str]:
    """BLEU over tokens as they are, between spaces, and sacreBLEU's signature of it.

    It is what multi-bleu.perl gives, and ``sacrebleu --tokenize none``: the geometric mean of the
    precisions of 1- to 4-grams, by the brevity penalty. Where an order has no match at all,
    multi-bleu.perl gives 0, and this sacreBLEU's smoothed, small number.

    Raises ValueError where the numbers of lines differ.
    """
    check_counts(hypotheses, references)
    hypotheses, references = unmatched(hypotheses, references)
    bleu = BLEU(tokenize="none", force=True)
    return bleu.corpus_score(hypotheses, [references]).score, str(bleu.get_signature())


def check_counts(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    """Raise ValueError where there is not one reference a translation."""
    if len(hypotheses) != len(references):
        raise ValueError(
            f"There are {len(hypotheses)} translations but {len(references)} references; "
            "give the reference of the same sentences."
        )


def read_lines(path: Path) -> list[str]:
    """The lines of a text file; only a line feed ends one, as for every tool of translation."""
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")


def perplexity(nll: float) -> float | None:
    """2 ** ``nll`` (bits a token), or None where it is beyond what JSON can hold."""
    return 2.0**nll if math.isfinite(nll) and nll < 1000 else None
