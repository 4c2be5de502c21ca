"""What the translations of each engine are worth: BLEU and chrF, beside those of one of them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from fairseq_prune.evaluation.scores import score
from fairseq_prune.evaluation.texts import Texts
from fairseq_prune.report.bootstrap import LEVEL, Bootstrap
from fairseq_prune.report.significance import holm

Rows = list[dict[str, Any]]


def scored(texts: Mapping[str, Texts], beam: int, base: str) -> Rows:
    """A row of scores for each engine.

    BLEU is tested against ``base`` by paired bootstrap resampling; ``p`` is corrected for the
    engines that are tested (Holm), and None where both say the same.

    Args:
        texts: by engine, of the same sentences.
        base: the engine that the others are compared with.
    """
    first = texts[base]
    test = Bootstrap(first.hypotheses, first.references)
    rows, p = Rows(), dict[str, float]()
    for name, text in texts.items():
        scores = asdict(score(text.hypotheses, text.references))
        rows.append({"engine": name, "beam": beam, "sentences": len(text.references), **scores})
        if text.hypotheses != first.hypotheses:
            p[name] = test.compare(text.hypotheses).p
    corrected = dict(zip(p, holm(list(p.values())), strict=True))
    (own,) = (row for row in rows if row["engine"] == base)
    for row in rows:
        row["against"], row["p"] = base, corrected.get(row["engine"])
        for name in ("bleu", "chrf"):
            row[f"{name}_difference"] = row[name] - own[name]
    return rows


def differs(row: Mapping[str, Any]) -> bool:
    """Whether a row's BLEU is another one than that of what it is compared with (p < 0.05)."""
    return row["p"] is not None and row["p"] < LEVEL


def in_words(row: Mapping[str, Any]) -> str:
    """What a row's BLEU is against the other's."""
    if row["engine"] == row["against"]:
        return "itself"
    if row["p"] is None:
        return "the same translations"
    p = f"p {row['p']:.3f}" if row["p"] >= 0.001 else "p < 0.001"
    if not differs(row):
        return f"no difference shown ({p})"
    return f"{'higher' if row['bleu_difference'] > 0 else 'lower'} ({p})"


def references_of(texts: Sequence[Texts]) -> bool:
    """Whether all have something to be scored against."""
    return all(any(text.references) for text in texts)
