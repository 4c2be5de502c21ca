"""How much faster an LSTM in 8 bits decodes when blocks of zeros are left out.

Speed does not depend on what the weights are, so they are random; so is the text that ranges of
outputs are measured on, and every translation is made 20 tokens long. The model with its zeros
computed and with them left out take turns; ratios are of CPU time on one thread.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from fairseq.data import Dictionary
from random_models import SETTINGS, by_fairseq, lstm_flags, make, sources, timed
from torch.profiler import ProfilerActivity, profile

import fairseq_prune
from fairseq_prune.checkpoints.apply import apply_recipe
from fairseq_prune.exports.int8.calibration import calibrated
from fairseq_prune.exports.int8.conversion import network_of
from fairseq_prune.exports.int8.network import Int8LSTM
from fairseq_prune.exports.int8.search import narrowed
from fairseq_prune.exports.int8.sparse_linear import BlockSparseLinear
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.tasks.opening import open_checkpoint

ROUNDS = 15
OPERATORS = 14  # printed of a profile


def models(
    cells: int, layers: int, vocabulary: int, sparsity: float
) -> tuple[dict[str, Int8LSTM], Dictionary]:
    """An LSTM without this fraction of the 1 x 4 blocks of each matrix, twice: with the zeros
    computed, and without."""
    recipe = Recipe(scheme="class-uniform", structure="block:1x4", sparsity=sparsity)
    with tempfile.TemporaryDirectory() as name:
        _, words = make(Path(name), lstm_flags(cells, layers), vocabulary)
        pruned = apply_recipe(open_checkpoint(f"{name}/dense.pt"), recipe).content(lambda _: None)
    spec, tensors = network_of(pruned, "the pruned one")
    pairs = zip(sources(20, vocabulary), sources(20, vocabulary), strict=True)
    ranged = calibrated(spec, tensors, (words, words), pairs)
    return {
        "computed": Int8LSTM(spec, tensors, (words, words)),
        "left out": Int8LSTM(ranged, tensors, (words, words)),
    }, words


def is_same(network: Int8LSTM, vocabulary: int) -> bool:
    """Whether the sparse kernel and its dense twin give the same logits, to the last bit."""
    source, target = sources(40, vocabulary), sources(40, vocabulary)
    before, found = BlockSparseLinear.__call__, []
    for kernel in (BlockSparseLinear.sparse, BlockSparseLinear.dense):
        BlockSparseLinear.__call__ = kernel  # type: ignore[method-assign]
        try:
            with torch.no_grad():
                found.append(network(source, None, target)[0])
        finally:
            BlockSparseLinear.__call__ = before  # type: ignore[method-assign]
    return torch.equal(*found)


def runs_of(
    networks: dict[str, Int8LSTM], words: Dictionary, beam: int, batch: int
) -> dict[str, Callable[[], Any]]:
    """What translates a batch with each network."""
    tokens = sources(batch, len(words))
    return {name: by_fairseq(one, words, beam, tokens, narrowed) for name, one in networks.items()}


def measure(runs: dict[str, Callable[[], Any]], batch: int) -> dict[str, list[float]]:
    """Seconds of each, round by round."""
    repeats = max(1, 16 // batch)  # one sentence takes too short a time
    rounds = [
        [sum(timed(run) for _ in range(repeats)) / repeats for run in runs.values()]
        for _ in range(ROUNDS + 1)
    ]
    return dict(zip(runs, map(list, zip(*rounds[1:], strict=True)), strict=True))  # one warms up


def operators(run: Callable[[], Any]) -> str:
    """Where the time goes, by torch's operators."""
    with profile(activities=[ProfilerActivity.CPU]) as found:
        run()
    table = found.key_averages().table(
        sort_by="self_cpu_time_total", row_limit=OPERATORS, max_name_column_width=50
    )
    return str(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cells", type=int, default=512)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--words", type=int, default=10_000)
    parser.add_argument("--sparsity", type=float, nargs="+", default=[0.8, 0.9])
    parser.add_argument("--profile", action="store_true", help="print times by operator, batch 8")
    parser.add_argument("--json", action="store_true", help="print one line of JSON last")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    fairseq_prune.register()
    facts = {}
    for sparsity in given.sparsity:
        networks, words = models(given.cells, given.layers, given.words, sparsity)
        assert is_same(networks["left out"], given.words)
        print(f"{given.layers} x {given.cells}, {given.words:,} words, {sparsity:.0%} of 1 x 4 "
              "blocks removed; both kernels give the same bits")  # fmt: skip
        for beam, batch in SETTINGS:
            runs = runs_of(networks, words, beam, batch)
            times = facts[f"{sparsity}, {batch}"] = measure(runs, batch)
            ratios = sorted(a / b for a, b in zip(*times.values(), strict=True))
            middle = [f"{1000 * statistics.median(values):.1f} ms" for values in times.values()]
            print(f"  beam {beam}, batch {batch}: {statistics.median(ratios):.2f}x (quarters "
                  f"{ratios[ROUNDS // 4]:.2f} to {ratios[-ROUNDS // 4]:.2f}); "
                  f"{middle[0]} -> {middle[1]}", flush=True)  # fmt: skip
            if given.profile and batch == 8:
                for name, run in runs.items():
                    print(f"zeros {name}\n{operators(run)}")
    if given.json:
        print(json.dumps(facts))


if __name__ == "__main__":
    main()
