"""Cost of exact global selection, as multiples of reading every weight once.

The weights are those of the model of See et al. 2016 (12 classes, 21 tensors), made as wide as
`--weights` asks for. All figures are process CPU time on one thread; the methods take turns, and
each figure is the median of the ratios to the read of the same turn. The peer,
torch.nn.utils.prune.global_unstructured, is far slower: it runs once, on a tenth of the weights
unless `--peer-full` is given, and its time is then scaled by the number of weights. That
favours the peer, which sorts.

Scratch is measured in a process of its own: how far the peak of its resident memory rises above
what it was with the weights loaded. Everything counts, the masks (1 byte a weight) included.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from torch import Tensor
from torch.nn.utils import prune

from fairseq_prune.maths.allocate import class_blind, class_distribution
from fairseq_prune.maths.select import Score, Scores, keep_largest, make_masks
from fairseq_prune.maths.spread import class_moments

Weights = dict[str, Tensor]


def make_weights(total: int, seed: int = 1) -> tuple[Weights, dict[str, str]]:
    """About `total` float32 weights by name, and the weight class of each."""
    width = max(8, round((total / 216) ** 0.5))
    shapes = {f"{side}.embedding": (50 * width, width, 0.1) for side in ("source", "target")}
    shapes["softmax"] = (50 * width, width, 0.05)
    for side in ("source", "target"):
        for layer in range(1, 5):
            for part in ("ih", "hh"):
                spread = 0.03 + 0.01 * layer + (0.02 if part == "hh" else 0.0)
                shapes[f"{side}.layer{layer}.{part}"] = (4 * width, width, spread)
    shapes["attention.in"] = shapes["attention.out"] = (width, width, 0.08)
    random = torch.Generator().manual_seed(seed)
    weights = {
        name: torch.empty(rows, cols).normal_(0.0, spread, generator=random)
        for name, (rows, cols, spread) in shapes.items()
    }
    classes = {name: name.removesuffix(".ih").removesuffix(".hh") for name in shapes}
    classes |= {name: "attention" for name in shapes if name.startswith("attention")}
    return weights, classes


def select(weights: Weights, classes: dict[str, str], sparsity: float, scheme: str) -> Weights:
    """The masks of a scheme, by name."""
    scores: Scores = {name: Score(w, absolute=True) for name, w in weights.items()}
    allocate = {"class-blind": class_blind, "class-distribution": class_distribution}[scheme]
    budgets = allocate(scores, sparsity, classes)
    return make_masks(scores, budgets)


def peer(weights: Weights, sparsity: float) -> Weights:
    """The masks of torch's own global magnitude pruning, by name."""
    modules = {}
    for name, weight in weights.items():
        modules[name] = torch.nn.Module()
        parameter = torch.nn.Parameter(weight, requires_grad=False)
        modules[name].register_parameter("weight", parameter)
    parameters = [(module, "weight") for module in modules.values()]
    prune.global_unstructured(parameters, prune.L1Unstructured, amount=sparsity)
    return {name: module.get_buffer("weight_mask").bool() for name, module in modules.items()}


def seconds(work: Callable[[], object]) -> float:
    """Process CPU time of one call."""
    start = time.process_time()
    result = work()
    taken = time.process_time() - start
    del result
    return taken


def measure(args: argparse.Namespace) -> dict[str, float]:
    """All ratios, by name."""
    weights, classes = make_weights(args.weights)
    scores: Scores = {name: Score(w, absolute=True) for name, w in weights.items()}
    budgets = class_blind(scores, args.sparsity, classes)
    near = budgets.near
    works: dict[str, Callable[[], object]] = {
        "read": lambda: [w.sum() for w in weights.values()],
        "class_blind": lambda: select(weights, classes, args.sparsity, "class-blind"),
        "class_distribution": lambda: select(weights, classes, args.sparsity, "class-distribution"),
        "count_kept": lambda: class_blind(scores, args.sparsity, classes),
        "keep_largest": lambda: [keep_largest(scores[n], budgets[n], near[n]) for n in scores],
        "sigma": lambda: class_moments({"all": scores}),
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(args.repeat + 1):
        for name, work in works.items():
            times[name].append(seconds(work))
    # The first turn loads code and grows the heap.
    turns = [dict(zip(times, turn, strict=True)) for turn in zip(*times.values(), strict=True)][1:]
    result = {"weights": float(sum(w.numel() for w in weights.values()))}
    for name in list(works)[1:]:
        result[f"{name}_over_read"] = statistics.median(t[name] / t["read"] for t in turns)
    ours = statistics.median(turn["class_blind"] for turn in turns)
    result |= measure_peer(args, ours)
    result["scratch_bytes_per_weight"] = scratch("class-blind", args)
    result["distribution_scratch_bytes_per_weight"] = scratch("class-distribution", args)
    return result


def measure_peer(args: argparse.Namespace, ours: float) -> dict[str, float]:
    """How much slower the peer is than `ours` seconds, and the size it was measured at."""
    size = args.weights if args.peer_full else args.weights // 10
    weights, _ = make_weights(size)
    size = sum(w.numel() for w in weights.values())
    taken = seconds(lambda: peer(weights, args.sparsity))
    return {"peer_over_ours": taken * args.weights / size / ours, "peer_weights": float(size)}


def scratch(scheme: str, args: argparse.Namespace) -> float:
    """Bytes a weight by which a selection raises the peak memory of a new process."""
    command = [sys.executable, __file__, "--scratch-of", scheme]
    command += ["--weights", str(args.weights), "--sparsity", str(args.sparsity)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_scratch(args: argparse.Namespace) -> None:
    """Prints what `scratch` reads: runs in the new process."""
    small, classes = make_weights(100_000)
    select(small, classes, args.sparsity, args.scratch_of)
    weights, classes = make_weights(args.weights)
    # Linux forgets the peak so far, which building the weights may have raised.
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_bytes()
    masks = select(weights, classes, args.sparsity, args.scratch_of)
    print((peak_bytes() - before) / sum(mask.numel() for mask in masks.values()))


def peak_bytes() -> int:
    """The largest resident memory of this process since its peak was last reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (line for line in lines if line.startswith("VmHWM"))
    return int(peak.split()[1]) * 1024


def main() -> None:
    """Prints a table, and with --json one line of JSON after it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=int, default=50_000_000, help="about how many weights")
    parser.add_argument("--sparsity", type=float, default=0.8, help="fraction removed")
    parser.add_argument("--repeat", type=int, default=7, help="turns, of which the median counts")
    parser.add_argument("--peer-full", action="store_true", help="run the peer on all weights")
    parser.add_argument("--json", action="store_true", help="print one line of JSON last")
    parser.add_argument("--scratch-of", help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.scratch_of:
        print_scratch(args)
        return
    result = measure(args)
    for name, value in result.items():
        print(f"{name:40s} {value:14,.2f}")
    if args.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
