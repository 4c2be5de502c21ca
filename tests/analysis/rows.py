"""Rows of results made by hand."""

from pathlib import Path
from typing import Any

from fairseq_prune.analysis import results

SIGNATURE = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"


def row(
    stage: str, scheme: str | None, sparsity: float, bleu: float, saliency: str = "magnitude",
    sha: str = "new", model: str = "m",
) -> dict[str, Any]:  # fmt: skip
    """A row as evaluate writes it, with numbers that tell it apart."""
    pruned = scheme is not None
    return {
        "checkpoint": f"{stage}-{scheme}.pt",
        "sha256": f"{sha}{stage}{scheme}{saliency}{sparsity}",
        "data_digest": "d",
        "settings": {"beam": 5},
        "tags": {"model": model, "stage": stage},
        "scheme": scheme,
        "saliency": saliency if pruned else None,
        "target": sparsity if pruned else None,
        "sparsity": sparsity,
        "recipe": f"{scheme}|sparsity:{sparsity}" if pruned else None,
        "bleu": bleu,
        "chrf": 50.0,
        "brevity_penalty": 0.9876,
        "length_ratio": 1.0123,
        "valid_ppl": 4.5,
        "test_ppl": None,
        "bleu_signature": SIGNATURE,
        "command": f"fairseq-prune evaluate {stage}.pt",
    }


def write(folder: Path, *rows: dict[str, Any]) -> Path:
    """The path of a results file with these rows."""
    path = folder / "results.jsonl"
    for one in rows:
        results.append(path, one)
    return path


def study() -> list[dict[str, Any]]:
    """A small study: two schemes pruned, both retrained, one sparse from the beginning."""
    rows = [row("dense", None, 0.0, 36.5)]
    for sparsity, bleu in ((0.4, 35.0), (0.8, 12.0)):
        rows.append(row("pruned", "class-blind", sparsity, bleu))
        rows.append(row("pruned", "class-blind", sparsity, bleu / 10, saliency="random"))
        rows.append(row("retrained", "class-blind", sparsity, 36.0))
        rows.append(row("retrained", "class-blind", sparsity, 20.0, saliency="random"))
    return [*rows, row("scratch", "class-blind", 0.8, 30.0)]
