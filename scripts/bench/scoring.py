"""What scoring weights costs, in training steps.

    python scripts/bench/scoring.py [--json]

A training step is fairseq's own trainer's (dropout, Adam) on the same batch of the same model. A
saliency that looks at data is measured on a few batches, everything included, and given per batch;
the others are given whole: magnitude, random and synflow (100 rounds) with the choice of what goes,
obd-adam with fetching the moments. Training and scoring take turns in one process on one thread;
process CPU time, medians over the turns of the ratios within a turn. Targets (performance.md): snip
at most 1.1, grasp 5, synflow 25, obd-adam 0.1.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from step import MODELS, make_corpus, make_trainer, seconds, set_up

from fairseq_prune.network.weights import of_module
from fairseq_prune.pruning.checks import checked
from fairseq_prune.pruning.pruner import Pruner
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.saliency import SALIENCIES, Probe
from fairseq_prune.tasks._flow import flow_of
from fairseq_prune.tasks._optimizer import Copies
from fairseq_prune.tasks._sample import sampler

BATCHES = 4  # of a turn, which is trained on; slow saliencies score on fewer of them
SCORED = {"snip": 4, "taylor": 4, "wanda": 2, "grasp": 2, "obd": 1, "obd-hutchinson": 1}


def cpu_seconds(work: Callable[[], object]) -> float:
    """Process CPU time of a call (GPU: wall time to its end)."""
    on_gpu = torch.cuda.is_available()
    clock = time.perf_counter if on_gpu else time.process_time
    start = clock()
    work()
    if on_gpu:
        torch.cuda.synchronize()
    return clock() - start


def methods(trainer: Any) -> tuple[dict[str, Callable[[], object]], list[Any]]:
    """What scores, by name, and the batches that are trained on, as fairseq's trainer takes them.

    The batches that are scored on are the first of these.
    """
    task, model = trainer.task, trainer.model
    sample = sampler(task, model, trainer.criterion, trainer.cfg.dataset)(BATCHES, 1)
    weights = of_module(model)
    dataset = task.dataset("train")
    batches = [dataset.collater([dataset[int(n)] for n in batch]) for batch in sample.batches]
    found: dict[str, Callable[[], object]] = {}
    for name, count in SCORED.items():
        probe = Probe(weights, sample=replace(sample, batches=sample.batches[:count]))
        found[name] = lambda name=name, probe=probe: SALIENCIES[name].score(probe)
    copies = Copies()
    copies.optimizer = trainer.optimizer
    found["obd-adam"] = lambda: SALIENCIES["obd-adam"].score(
        Probe(weights, second_moments=copies.second_moments(weights))
    )
    pruners = {
        name: Pruner(checked(Recipe(scheme="class-blind", saliency=name, sparsity=0.8)))
        for name in ("magnitude", "random", "synflow")
    }
    found["magnitude"] = lambda: pruners["magnitude"].update(0.8, Probe(weights))
    found["random"] = lambda: pruners["random"].update(0.8, Probe(weights))
    found["synflow"] = lambda: pruners["synflow"].update(0.8, Probe(weights, flow=flow_of(model)))
    return found, batches


def measure(data: Path, model: str, rounds: int, only: list[str], device: list[str]) -> Any:
    """The median of a training step in ms, and of each saliency's cost in training steps."""
    trainer, _ = make_trainer(data, model, [], device)
    found, batches = methods(trainer)
    found = {name: work for name, work in found.items() if not only or name in only}
    for batch in batches:
        seconds(trainer, batch)
    rows: dict[str, list[float]] = {name: [] for name in found}
    steps = []
    for _ in range(rounds):
        before = [seconds(trainer, batch) for batch in batches]
        taken = {name: cpu_seconds(work) for name, work in found.items()}
        after = [seconds(trainer, batch) for batch in batches]
        turn = [(a + b) / 2 for a, b in zip(before, after, strict=True)]
        steps += turn
        for name, value in taken.items():
            part = turn[: SCORED[name]] if name in SCORED else [sum(turn) / len(turn)]
            rows[name].append(value / sum(part))
    costs = {name: statistics.median(values) for name, values in rows.items()}
    return {"step_ms": 1000 * statistics.median(steps), **costs}


def main() -> None:
    """Prints a table, and with --json one line of JSON after it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="turns, of which the median counts")
    parser.add_argument("--only", nargs="*", default=[], help="saliencies to measure (default all)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON last")
    arguments = parser.parse_args()
    device = set_up()
    result: dict[str, Any] = {"device": "gpu" if not device else "cpu", "per_batch": list(SCORED)}
    with tempfile.TemporaryDirectory() as folder:
        data = make_corpus(Path(folder))
        for model in MODELS:
            result[model] = measure(data, model, arguments.rounds, arguments.only, device)
            print(f"{model}: a training step takes {result[model]['step_ms']:.0f} ms")
            for name, cost in list(result[model].items())[1:]:
                unit = "training steps a batch" if name in SCORED else "training steps in all"
                print(f"  {name:15} {cost:8.2f} {unit}", flush=True)
    if arguments.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
