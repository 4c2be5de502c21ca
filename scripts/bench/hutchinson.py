"""How far Hutchinson's estimate of the Hessian's diagonal lies from it, on a trained model.

    python scripts/bench/hutchinson.py CHECKPOINT... --data DATA

Of weights drawn at random, the whole column of the Hessian is computed (over 32 batches of the
training data). Its diagonal entry is the curvature; the estimate's variance is the sum of the
squares of the other entries, over the number of random vectors (Bekas et al. 2007).
"""

import argparse
import logging
import statistics

import torch

from fairseq_prune import models
from fairseq_prune.network.probing import hessian_times
from fairseq_prune.saliency.obd import PROBES
from fairseq_prune.tasks.offline import open_network
from fairseq_prune.tasks.opening import open_checkpoint
from fairseq_prune.tasks.own import Given


def columns(checkpoint: str, data: str, count: int, batches: int) -> list[tuple[float, float]]:
    """Of so many weights, the curvature and the estimate's standard deviation."""
    network = open_network(checkpoint, Given(data=data), lambda done, total: None)
    sample = network.sampler(batches, 1)
    names = list(open_checkpoint(checkpoint).weights)
    named = dict(sample.model.named_parameters(remove_duplicate=False))
    vector = {name: torch.zeros_like(named[name]) for name in names}
    sizes = torch.tensor([vector[name].numel() for name in names], dtype=torch.float64)
    draw, found = torch.Generator().manual_seed(1), []
    for place in torch.multinomial(sizes, count, replacement=True, generator=draw).tolist():
        one = vector[names[place]].reshape(-1)
        index = int(torch.randint(len(one), (), generator=draw))
        one[index] = 1.0
        column = hessian_times(sample, vector)
        one[index] = 0.0
        curvature = float(column[names[place]].reshape(-1)[index])
        squares = sum(float(part.square().sum()) for part in column.values())
        deviation = max(0.0, squares - curvature**2) ** 0.5
        found.append((curvature, deviation / PROBES**0.5))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checkpoints", nargs="+")
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights", type=int, default=60, help="how many (default 60)")
    parser.add_argument("--batches", type=int, default=32, help="of training data (default 32)")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    models.register()
    for checkpoint in arguments.checkpoints:
        found = columns(checkpoint, arguments.data, arguments.weights, arguments.batches)
        curvature = statistics.median(abs(h) for h, _ in found)
        deviation = statistics.median(s for _, s in found)
        negative = sum(h < 0 for h, _ in found) / len(found)
        print(
            f"{checkpoint}: median |h| {curvature:.2e}, median standard deviation of the estimate "
            f"by {PROBES} vectors {deviation:.2e}: {deviation / curvature:.1f} times; "
            f"h below 0: {negative:.0%}"
        )


if __name__ == "__main__":
    main()
