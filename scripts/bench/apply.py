#!/usr/bin/env python3
"""Times `fairseq-prune apply` against loading and saving the same checkpoint.

The checkpoint has the tensor shapes of the 4-layer LSTM of See et al. (2016): 50,000 words each
side, 1,000 units; --weights scales the units. Both run in one process, in turns, on the same
file; ratios are of medians, by the clock and in CPU time. Target: at most 3.

    python scripts/bench/apply.py [--weights 200000000] [--rounds 3] [--json]
"""

import argparse
import contextlib
import io
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from fairseq.models.lstm import base_architecture

from fairseq_prune.cli.main import main as fairseq_prune

LAYERS, WORDS = 4, 50_000


def lstm(weights: int) -> tuple[dict[str, torch.Tensor], int]:
    """fairseq's LSTM of about so many weights, values normal, biases zero; and its units."""
    # 3 tables of WORDS x units, 8 or 9 gates' matrices a layer of 4 units x units
    squares = 8 * LAYERS * 2 + 4 + 3
    units = 8
    while 3 * WORDS * (units + 8) + squares * (units + 8) ** 2 <= weights:
        units += 8
    generator = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> torch.Tensor:
        return torch.empty(shape).normal_(0, 0.1, generator=generator)

    model = {"encoder.embed_tokens.weight": normal(WORDS, units)}
    for layer in range(LAYERS):
        for part in ("ih", "hh"):
            model[f"encoder.lstm.weight_{part}_l{layer}"] = normal(4 * units, units)
            model[f"encoder.lstm.bias_{part}_l{layer}"] = torch.zeros(4 * units)
    model["decoder.embed_tokens.weight"] = normal(WORDS, units)
    for layer in range(LAYERS):
        inputs = 2 * units if layer == 0 else units  # input feeding
        model[f"decoder.layers.{layer}.weight_ih"] = normal(4 * units, inputs)
        model[f"decoder.layers.{layer}.weight_hh"] = normal(4 * units, units)
        for part in ("ih", "hh"):
            model[f"decoder.layers.{layer}.bias_{part}"] = torch.zeros(4 * units)
    model["decoder.attention.input_proj.weight"] = normal(units, units)
    model["decoder.attention.output_proj.weight"] = normal(units, 2 * units)
    model["decoder.fc_out.weight"] = normal(WORDS, units)
    model["decoder.fc_out.bias"] = torch.zeros(WORDS)
    return model, units


def settings(units: int) -> dict[str, Any]:
    """The configuration that fairseq saves with such a model, as far as it is read again."""
    widths = ("encoder_embed_dim", "encoder_hidden_size", "decoder_embed_dim",
              "decoder_hidden_size", "decoder_out_embed_dim")  # fmt: skip
    model = {**dict.fromkeys(widths, units), "encoder_layers": LAYERS, "decoder_layers": LAYERS}
    task = {"_name": "translation", "data": "bin", "source_lang": "de", "target_lang": "en"}
    arguments = argparse.Namespace(arch="lstm", _name="lstm", criterion="cross_entropy", **model)
    base_architecture(arguments)
    return {"model": arguments, "task": task}


def write_dense(path: Path, weights: int) -> int:
    """Writes the checkpoint; returns how many numbers its model has."""
    model, units = lstm(weights)
    history = [{"criterion_name": "c", "optimizer_name": "o", "num_updates": 0}]
    extra = {"train_iterator": {"epoch": 1}}
    torch.save(
        {
            "args": None,
            "cfg": settings(units),
            "model": model,
            "optimizer_history": history,
            "task_state": {},
            "extra_state": extra,
        },
        path,
    )
    return sum(tensor.numel() for tensor in model.values())


def load_and_save(path: Path, output: Path) -> None:
    with torch.serialization.safe_globals([argparse.Namespace]):
        torch.save(torch.load(path, weights_only=True), output)


def apply(path: Path, output: Path, scheme: str) -> None:
    command = ["apply", str(path), "--output", str(output), "--prune-scheme", scheme]
    with contextlib.redirect_stdout(io.StringIO()):
        assert fairseq_prune([*command, "--prune-sparsity", "0.8"]) == 0


def timed(call: Callable[..., None], *arguments: Any) -> tuple[float, float]:
    """Seconds by the clock and of CPU time."""
    start, start_cpu = time.perf_counter(), time.process_time()
    call(*arguments)
    return time.perf_counter() - start, time.process_time() - start_cpu


def measure(folder: Path, weights: int, rounds: int, scheme: str) -> dict[str, Any]:
    dense, copy, pruned = folder / "dense.pt", folder / "copy.pt", folder / "pruned.pt"
    size = write_dense(dense, weights)
    base, ours = [], []
    for _ in range(rounds):
        base.append(timed(load_and_save, dense, copy))
        copy.unlink()
        ours.append(timed(apply, dense, pruned, scheme))
        pruned.unlink()
    seconds = {
        name: [statistics.median(column) for column in zip(*runs, strict=True)]
        for name, runs in (("load_save", base), ("apply", ours))
    }
    clock, cpu = (seconds["apply"][i] / seconds["load_save"][i] for i in (0, 1))
    return {
        "weights": size,
        "scheme": scheme,
        "rounds": rounds,
        "threads": torch.get_num_threads(),
        **{f"{name}_s": round(clocked, 3) for name, (clocked, _) in seconds.items()},
        **{f"{name}_cpu_s": round(used, 3) for name, (_, used) in seconds.items()},
        "apply_over_load_save": round(clock, 3),
        "apply_over_load_save_cpu": round(cpu, 3),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--weights", type=int, default=200_000_000, help="how many weights")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is timed")
    parser.add_argument("--scheme", default="class-blind", help="prune scheme to time")
    parser.add_argument("--folder", default=None, help="where to write (default: temporary)")
    parser.add_argument("--json", action="store_true", help="print one JSON line last")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        found = measure(Path(folder), arguments.weights, arguments.rounds, arguments.scheme)
    for name, value in found.items():
        print(f"{name:26} {value}")
    if arguments.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
