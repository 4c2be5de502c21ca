"""What a row of results may say; its file may be anybody's."""

from collections.abc import Mapping
from typing import Any

from fairseq_prune.files.strict_json import is_number

_NUMBERS = (
    "bleu", "accuracy", "loss", "sparsity", "target", "chrf", "valid_ppl", "test_ppl",
    "brevity_penalty", "length_ratio", "tokenized_bleu", "tokenized_bleu_split", "flop_sparsity",
    "removed", "prunable", "parameters", "parameters_before", "zeros",
    "unknown_words", "unknown_reference_words", "sparsity_of_all", "sparsity_without_embeddings",
)  # fmt: skip
_TEXTS = (
    "checkpoint", "sha256", "data_digest", "scheme", "saliency", "structure", "schedule", "recipe",
    "bleu_signature", "bleu_text", "tokenized_bleu_signature", "tokenized_bleu_split_signature",
    "command", "hypotheses", "masks_digest", "stage", "method", "task", "no_bleu",
)  # fmt: skip


def check_row(row: Mapping[str, Any], needed: str) -> None:
    """Raise ValueError, with what is wrong, where an entry is of another kind than evaluate's.

    Args:
        needed: the score that every row has; BLEU may be missing where the row says why.
    """
    if row.get(needed) is None and not (needed == "bleu" and row.get("no_bleu")):
        raise ValueError(f"it has no {needed}")
    for name in _NUMBERS:
        value = row.get(name)
        if value is not None and not is_number(value):
            raise ValueError(f"its {name} is no number")
    for name in _TEXTS:
        if not isinstance(row.get(name), str | None):
            raise ValueError(f"its {name} is no text")
    for name in ("made", "sources"):
        values = row.get(name)
        if not isinstance(values, list | None) or not all(isinstance(v, str) for v in values or ()):
            raise ValueError(f"its {name} are no texts")
    for name in ("settings", "tags"):
        if not isinstance(row.get(name), dict | None):
            raise ValueError(f"its {name} have no names")
    if not all(isinstance(value, str) for value in (row.get("tags") or {}).values()):
        raise ValueError("its tags are no texts")
    _check_classes(row.get("classes"))


def _check_classes(classes: Any) -> None:
    if not isinstance(classes, list | None):
        raise ValueError("its classes are no list")
    for one in classes or []:
        share = one.get("sparsity") if isinstance(one, dict) else None
        if not is_number(share) or not isinstance(one.get("name"), str):
            raise ValueError("its classes have no names and sparsities")
