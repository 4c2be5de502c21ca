"""How much faster a shrunk network decodes: an LSTM in stock fairseq, a Transformer in CTranslate2.

Speed does not depend on what the weights are, so they are random, and every translation is made
20 tokens long. Dense and shrunk take turns; ratios are of CPU time on one thread.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from random_models import (
    SETTINGS,
    build,
    by_ctranslate2,
    by_fairseq,
    lstm_flags,
    make,
    ratios,
    sentences,
    sources,
    transformer_flags,
)

import fairseq_prune
from fairseq_prune.checkpoints import storage
from fairseq_prune.checkpoints.apply import apply_recipe
from fairseq_prune.checkpoints.shrink import plan, shrink
from fairseq_prune.network.ties import parameters_in
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.tasks.opening import open_checkpoint

# name: flags, vocabulary, and what is pruned to which fraction
LSTMS = {
    "LSTM, 4 layers of 1000": (1000, 4, 8000),
    "LSTM, 2 layers of 512": (512, 2, 8000),
}
TRANSFORMERS = {
    "Transformer, 2+2 layers of 128, ffn 256": (128, 256, 4, 2, 1496),
    "Transformer, 3+3 layers of 256, ffn 1024": (256, 1024, 4, 3, 8000),
    "Transformer, 6+6 layers of 512, ffn 2048": (512, 2048, 8, 6, 8000),
}
# of a Transformer: feed-forward layers to a quarter and heads to a half; and half of the layers
WIDTHS = (("ffn", 0.75), ("heads", 0.5))
CUTS: dict[str, tuple[tuple[str, float], ...]] = {
    "": WIDTHS,
    ", to half of the layers": (("layers", 0.5), *WIDTHS),
}


def smaller(folder: Path, *prunings: tuple[str, float]) -> dict[str, Any]:
    """The checkpoint with units of these structures cut out, a fraction of each."""
    path = folder / "dense.pt"
    for structure, sparsity in prunings:
        recipe = Recipe(scheme="class-uniform", structure=structure, sparsity=sparsity)
        content = apply_recipe(open_checkpoint(str(path)), recipe).content(lambda _: None)
        path = folder / f"{structure}.pt"
        storage.save(content, path)
    small = shrink(plan(open_checkpoint(str(path))))
    storage.save(small, folder / "small.pt")
    return small


def lstm(cells: int, layers: int, vocabulary: int) -> dict[str, Any]:
    """Half of all cells and embedding columns cut out, in stock fairseq."""
    with tempfile.TemporaryDirectory() as name:
        dense, words = make(Path(name), lstm_flags(cells, layers), vocabulary)
        small = smaller(Path(name), ("hidden+embedding", 0.5))
    args = [content["cfg"]["model"] for content in (dense, small)]
    assert args[1]._name == "lstm"
    sizes = [sum(v.numel() for v in parameters_in(c["model"]).values()) for c in (dense, small)]
    found: dict[str, Any] = {"parameters": sizes, "allowed": sizes[0] / sizes[1], "ratios": {}}
    for beam, batch in SETTINGS:
        tokens = sources(batch, vocabulary)
        runs = [by_fairseq(build(one, words), words, beam, tokens) for one in args]
        found["ratios"][f"beam {beam}, batch {batch}"] = ratios(*runs)
    return found


def transformer(
    cuts: tuple[tuple[str, float], ...], width: int, ffn: int, heads: int, layers: int,
    vocabulary: int,
) -> dict[str, Any]:  # fmt: skip
    """Units cut out, in CTranslate2 at int8."""
    import ctranslate2

    from fairseq_prune.exports import ctranslate

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dense, _ = make(folder, transformer_flags(width, ffn, heads, layers), vocabulary)
        small = smaller(folder, *cuts)
        translators: list[Any] = []
        for kind in ("dense", "small"):
            out = str(folder / f"{kind}-int8")
            ctranslate.convert(str(folder / f"{kind}.pt"), name, out, "int8")
            translators.append(ctranslate2.Translator(out, device="cpu", intra_threads=1))
    lines = sentences(64, vocabulary)
    sizes = [sum(v.numel() for v in parameters_in(c["model"]).values()) for c in (dense, small)]
    found: dict[str, Any] = {"parameters": sizes, "allowed": sizes[0] / sizes[1], "ratios": {}}
    for beam, batch in SETTINGS:
        chosen = lines if batch > 1 else lines[:8]
        runs = [partial(by_ctranslate2, one, chosen, beam, batch) for one in translators]
        found["ratios"][f"beam {beam}, batch {batch}"] = ratios(*runs)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one line of JSON last")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    fairseq_prune.register()
    facts = {}
    runs: dict[str, Callable[[], dict[str, Any]]] = {
        name: partial(lstm, *widths) for name, widths in LSTMS.items()
    }
    for name, sizes in TRANSFORMERS.items():
        runs |= {name + cut: partial(transformer, cuts, *sizes) for cut, cuts in CUTS.items()}
    for name, measure in runs.items():
        found = facts[name] = measure()
        before, after = found["parameters"]
        print(f"{name}: {before:,} -> {after:,} parameters ({found['allowed']:.2f}x fewer)")
        for setting, values in found["ratios"].items():
            middle = statistics.median(values)
            spread = f"{values[0]:.2f} to {values[-1]:.2f}"
            share = middle / found["allowed"]
            print(f"  {setting}: {middle:.2f}x ({spread}), {share:.2f} of that", flush=True)
    if arguments.json:
        print(json.dumps(facts))


if __name__ == "__main__":
    main()
