"""Rows of results made by hand."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fairseq_prune.evaluation import results
from fairseq_prune.evaluation.scores import score
from fairseq_prune.evaluation.sentences import Sentence, write_sentences

PROCESSOR = "AMD EPYC, AVX512"
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
        "processor": PROCESSOR,
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


def with_texts(folder: Path, seeds: tuple[str, ...] = ("1",), count: int = 40) -> Path:
    """A results file whose rows have translations and sentences: pruning drops words.

    Dense is the reference but for every fifth sentence; what is pruned by s loses a word of every
    sentence with probability s squared, unless it was retrained, which loses every hundredth.
    """
    draw = random.Random(1)
    words = "the a big cat dog house sees eats likes green old new and or in of".split()
    texts = [" ".join(draw.choices(words, k=draw.randint(4, 12))) for _ in range(count)]
    test = [Sentence(t.upper(), t + " .", len(t.split()), i % 7) for i, t in enumerate(texts)]
    path = folder / "results.jsonl"
    for seed in seeds:
        for stage, sparsity in (("dense", 0.0), *((s, x) for s in HARM for x in (0.2, 0.5, 0.9))):
            harm = HARM.get(stage, lambda _: 0.02)(sparsity)
            lines = [" ".join(w for w in s.reference.split() if draw.random() > harm) for s in test]
            one = row(stage, "class-blind" if sparsity else None, sparsity, 0.0, sha=seed)
            one["tags"]["seed"] = seed
            add_texts(path, one, lines, test)
    return path


HARM: dict[str, Callable[[float], float]] = {
    "pruned": lambda sparsity: sparsity**2,
    "retrained": lambda sparsity: 0.02 if sparsity < 0.6 else 0.3,
}


def add_texts(path: Path, one: dict[str, Any], lines: list[str], test: list[Sentence]) -> None:
    """Append a row as evaluate does, with the scores of ``lines``."""
    one.update(vars(score(lines, [s.reference for s in test])))
    seed = one["tags"].get("seed", "")
    name = f"hypotheses/{one['checkpoint']}-{one['sparsity']}-{seed}.txt"
    (path.parent / "hypotheses").mkdir(parents=True, exist_ok=True)
    (path.parent / name).write_text("".join(line + "\n" for line in lines))
    one.update(hypotheses=name, sentences=len(test))
    one["sentences_file"] = write_sentences(path.parent, one, test)
    results.append(path, one)
