#!/usr/bin/env python3
"""Size of compact files against the entropy of what they hold, and the time to read them.

The weights are those of `scripts/bench/selection.py`, pruned class-blind by magnitude. The limit
is, over all tensors of N weights of which k are left, the sum of N H(k / N) + k E bits: H is the
entropy of a mask drawn at random, E that of the values left. E is counted over their upper 16
bits (sign, exponent, start of the mantissa), tensor by tensor; the lower 16 bits of float32 are
noise and count in full. Sizes are fractions of the dense float32 weights; `over limit` is the
whole file, settings included, over the limit.

Reading is timed in CPU time on one thread, in turns with torch.load of the dense model in
float32 and in the dtype of the file; each figure is the median of the ratios of one turn. Each
is a new process, as a program loads its model once: memory that was used before costs less.
`peak` is how far memory rises above its start while the file is written (and read), over the
bytes of the model in the file's dtype. Targets: over limit at most 1.05, read at most 3, peak 2.

    python scripts/bench/compact.py [--weights 50000000] [--rounds 5] [--json]
"""

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import torch
from selection import make_weights, peak_bytes, select
from torch import Tensor

from fairseq_prune.exports import compact

SPARSITIES = (0.4, 0.6, 0.8, 0.9)
COLUMNS = ("sparsity", "dtype", "limit", "size", "over_limit", "read", "read_same", "peak_write")


def entropy(tensor: Tensor) -> float:
    """The bits that a tensor's mask and values need at least."""
    flat = tensor.reshape(-1)
    values = flat[flat != 0]
    if not len(values):
        return 0.0
    kept = len(values) / len(flat)
    if values.dtype == torch.float32:
        upper, lower_bits = values.view(torch.int32) >> 16, 16
    else:
        upper, lower_bits = values.view(torch.int16).int(), 0
    shares = torch.bincount(upper + (1 << 15)).double() / len(values)
    of_values = lower_bits + float(torch.special.entr(shares).sum() / torch.log(torch.tensor(2.0)))
    both = torch.tensor([kept, 1 - kept], dtype=torch.double)
    of_mask = float(torch.special.entr(both).sum() / torch.log(torch.tensor(2.0)))
    return len(flat) * of_mask + len(values) * of_values


def pruned(weights: int, sparsity: float, half: bool) -> dict[str, Tensor]:
    """A model's tensors, pruned; as float16 where ``half``."""
    tensors, classes = make_weights(weights)
    masks = select(tensors, classes, sparsity, "class-blind")
    for name, mask in masks.items():
        tensors[name][~mask] = 0
    return {name: t.half() for name, t in tensors.items()} if half else tensors


def seconds(work: Callable[[], object]) -> float:
    """Process CPU time of one call."""
    start = time.process_time()
    result = work()
    taken = time.process_time() - start
    del result
    return taken


def seconds_apart(work: Callable[..., object], path: Path) -> float:
    """CPU time of ``work(path)`` in a new process, which has all modules loaded."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(timed, (work, path))


def timed(work: Callable[..., object], path: Path) -> float:
    """Runs in the new process."""
    return seconds(lambda: work(path))


def read(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


def peaks(folder: Path, size: int, task: str) -> float:
    """How far the memory of a new process rises while it writes or reads, over ``size`` bytes."""
    command = [sys.executable, __file__, "--peak-of", task, "--folder", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout) / size


def print_peak(task: str, folder: Path) -> None:
    """Prints what `peaks` reads: runs in the new process."""
    small = folder / "small.fsz"
    compact.write({"model": {"w": torch.zeros(9)}}, small)
    compact.read(small)
    model = read(folder / "same.pt")["model"] if task == "write" else {}
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_bytes()
    if task == "write":
        compact.write({"model": model}, folder / "peak.fsz")
    else:
        model = compact.read(folder / "model.fsz")
    print(peak_bytes() - before)


def measure(args: argparse.Namespace, folder: Path, sparsity: float, half: bool) -> dict[str, Any]:
    """One line of the table."""
    model = pruned(args.weights, sparsity, half)
    count = sum(tensor.numel() for tensor in model.values())
    limit = sum(map(entropy, model.values())) / 8
    files = {name: folder / name for name in ("dense.pt", "same.pt", "model.fsz")}
    torch.save({"model": {name: t.float() for name, t in model.items()}}, files["dense.pt"])
    torch.save({"model": model}, files["same.pt"])
    written = seconds(lambda: compact.write({"model": model}, files["model.fsz"]))
    model.clear()
    turns = []
    for _ in range(args.rounds + 1):
        dense, same = (seconds_apart(read, files[name]) for name in ("dense.pt", "same.pt"))
        ours = seconds_apart(compact.read, files["model.fsz"])
        turns.append((ours / dense, ours / same, ours))
    over_dense, over_same, taken = map(statistics.median, zip(*turns[1:], strict=True))
    bytes_now, size = count * (2 if half else 4), files["model.fsz"].stat().st_size
    return {
        "sparsity": sparsity,
        "dtype": "float16" if half else "float32",
        "limit": limit / 4 / count,
        "size": size / 4 / count,
        "over_limit": size / limit,
        "read": over_dense,
        "read_same": over_same,
        "peak_write": peaks(folder, bytes_now, "write"),
        "peak_read": peaks(folder, bytes_now, "read"),
        "write_s": written,
        "read_s": taken,
        "weights": count,
    }


def main() -> None:
    """Prints a table, and with --json one line of JSON after it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=int, default=50_000_000, help="about how many weights")
    parser.add_argument(
        "--sparsities", type=float, nargs="+", default=SPARSITIES, help="fractions removed"
    )
    parser.add_argument("--rounds", type=int, default=5, help="turns, of which the median counts")
    parser.add_argument("--folder", default=None, help="where to write (default: temporary)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON last")
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.peak_of:
        print_peak(args.peak_of, Path(args.folder))
        return
    columns, found = (*COLUMNS, "peak_read"), []
    print(" ".join(f"{column:>10}" for column in columns), flush=True)
    for half in (False, True):
        for sparsity in args.sparsities:
            with tempfile.TemporaryDirectory(dir=args.folder) as folder:
                found.append(measure(args, Path(folder), sparsity, half))
            row = [found[-1][column] for column in columns]
            cells = (v if isinstance(v, str) else f"{v:.3f}" for v in row)
            print(" ".join(f"{cell:>10}" for cell in cells), flush=True)
    if args.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
