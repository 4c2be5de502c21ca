"""A tiny study on disk: real models, pruned by the real code, with made-up scores and logs."""

import json
from pathlib import Path
from typing import Any

import torch

from fairseq_prune.checkpoints import storage
from fairseq_prune.checkpoints.apply import apply_recipe, check_recipe
from fairseq_prune.evaluation import results
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.pruning.summary import by_class
from fairseq_prune.tasks.opening import open_checkpoint
from tests.cli.models import checkpoint, write
from tests.report.rows import row

WIDTH = 8
SCHEMES = ("class-blind", "class-uniform", "class-distribution")
FIGURES = [f"figure{n}" for n in range(1, 11)]  # that :func:`study` has
VALID = "2026-01-01 | INFO | valid | epoch 001 | valid on 'valid' subset | loss 9 | nll_loss {} | "
PRUNED = "2026-01-01 | INFO | fairseq_prune | pruned at update 0 to 0.8000 (asked 0.8000), c\n"


def lstm() -> dict[str, torch.Tensor]:
    """The weights of an LSTM of fairseq, each class with a spread of its own."""
    draw = torch.Generator().manual_seed(1)
    shapes = {
        "encoder.embed_tokens.weight": (20, WIDTH),
        "encoder.lstm.weight_ih_l0": (4 * WIDTH, WIDTH),
        "encoder.lstm.weight_hh_l0": (4 * WIDTH, WIDTH),
        "decoder.embed_tokens.weight": (20, WIDTH),
        "decoder.layers.0.weight_ih": (4 * WIDTH, 2 * WIDTH),
        "decoder.layers.0.weight_hh": (4 * WIDTH, WIDTH),
        "decoder.attention.input_proj.weight": (WIDTH, WIDTH),
        "decoder.fc_out.weight": (20, WIDTH),
    }
    return {
        name: 0.1 * (k + 1) * torch.randn(shape, generator=draw)
        for k, (name, shape) in enumerate(shapes.items())
    }


def dense(path: Path) -> str:
    """The path of a dense checkpoint of :func:`lstm`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    settings = {"model": {"_name": "lstm"}, "task": {"_name": "translation"}}
    return write(path, {**checkpoint(), "cfg": settings, "model": lstm()})


def log(path: Path, *losses: float, start: str = "") -> None:
    """A train.log with a validation every 10 updates."""
    lines = [VALID.format(loss) + f"num_updates {10 * k}\n" for k, loss in enumerate(losses, 1)]
    path.write_text(start + "".join(lines))


def add_point(folder: Path, stage: str, scheme: str, percent: int, bleu: float, seed: str) -> None:
    """One pruned model with its results, in a folder of its own."""
    name = f"{stage}-{scheme}-{percent}-{seed}"
    path = folder / "points" / name / "checkpoint_best.pt"
    path.parent.mkdir(parents=True)
    source = open_checkpoint(str(folder / "points" / "dense" / "checkpoint_best.pt"))
    recipe = check_recipe(Recipe(scheme=scheme, sparsity=percent / 100))
    applied = apply_recipe(source, recipe)
    storage.save(applied.content(lambda done: None), path)
    classes = by_class(applied.masks, source.classes, applied.record.extremes)
    one = row(stage, scheme, percent / 100, bleu, sha=name)
    one |= {
        "checkpoint": str(path),
        "masks_digest": applied.masks.digest(),
        "classes": [c.as_dict() for c in classes],
        "tags": {"model": "m", "stage": stage, "seed": seed},
    }
    results.append(path.parent / "results.jsonl", one)
    if stage == "retrained":
        start = "{'finetune_from_model': 'dense.pt'}\n" + PRUNED
        log(path.with_name("train.log"), 6.0, 5.0, start=start)


def add_dense(folder: Path) -> None:
    """The dense model of the study."""
    path = folder / "points" / "dense" / "checkpoint_best.pt"
    dense(path)
    log(path.with_name("train.log"), 8.0, 6.0, 4.0)
    one = row("dense", None, 0.0, 36.5) | {"checkpoint": str(path)}
    results.append(path.parent / "results.jsonl", one)


def add_sensitivity(folder: Path, of: str, **more: Any) -> Path:
    """What fairseq-prune sensitivity leaves."""
    names = ("source-embedding", "source-layer-1", "target-layer-1", "attention", "softmax")
    rows = [
        {"class": name, "weights": 9, "removed": 8, "sparsity": 0.9, "largest_removed": 0.1 * k,
         "nll": 1.0, "ppl": 2.0, "ppl_change": 0.5 * k - 0.6, "bleu": None, "bleu_change": None}
        for k, name in enumerate(names, 1)
    ]  # fmt: skip
    content = {
        "kind": "fairseq_prune sensitivity", "format": 1, "checkpoint": "dense.pt",
        "tags": {"model": "m"}, "scheme": of, "saliency": "magnitude", "sparsity": 0.9,
        "subset": "valid", "dense": {"ppl": 2.0, "nll": 1.0, "bleu": None}, "rows": rows,
        "command": f"fairseq-prune sensitivity dense.pt --prune-scheme {of}", "version": "0",
    }  # fmt: skip
    path = folder / f"sensitivity-{of}.json"
    path.write_text(json.dumps(content | more))
    return path


def study(folder: Path) -> Path:
    """The folder of a study that has all ten figures."""
    add_dense(folder)
    for k, scheme in enumerate(SCHEMES):
        for seed in ("1", "2"):
            add_point(folder, "pruned", scheme, 80, 10.0 + k + int(seed), seed)
        add_sensitivity(folder, scheme)
    add_point(folder, "pruned", "class-blind", 40, 30.0, "1")
    add_point(folder, "retrained", "class-blind", 80, 35.0, "1")
    return folder
