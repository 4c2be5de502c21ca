"""What holding masks costs: a training step with 80% pruned over the same step without a plugin.

    python scripts/bench/step.py [--json]

Both steps are fairseq's own trainer's, on equal models and batches, interleaved in one process on
one thread; process CPU time, median of the ratios. Target (performance.md): at most 1.05. The last
column is what looking for pruned weights that are not zero takes, once a validation and a save.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from fairseq import options, utils
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.tasks import setup_task
from fairseq.trainer import Trainer
from fairseq_prune.tasks._invariant import check_copies, check_weights

MODELS = {
    "lstm": "--arch lstm --encoder-embed-dim 256 --encoder-hidden-size 256 --encoder-layers 2 "
    "--decoder-embed-dim 256 --decoder-hidden-size 256 --decoder-layers 2 "
    "--decoder-out-embed-dim 256",
    "transformer": "--arch transformer --encoder-embed-dim 256 --encoder-ffn-embed-dim 1024 "
    "--encoder-layers 3 --encoder-attention-heads 4 --decoder-embed-dim 256 "
    "--decoder-ffn-embed-dim 1024 --decoder-layers 3 --decoder-attention-heads 4",
}
PRUNE = ["--prune-scheme", "class-uniform", "--prune-sparsity", "0.8"]


def make_corpus(folder: Path, words: int = 4000, pairs: int = 2000) -> Path:
    """A binarised corpus of random sentences, as long as Multi30k's."""
    draw = random.Random(1)
    for side in ("de", "en"):
        lines = [
            " ".join(f"w{draw.randrange(words)}" for _ in range(draw.randint(8, 24)))
            for _ in range(pairs)
        ]
        for split, count in (("train", pairs), ("valid", 10)):
            (folder / f"{split}.{side}").write_text("\n".join(lines[:count]) + "\n")
    program = str(Path(sys.executable).parent / "fairseq-preprocess")
    prefs = [f"--{split}pref={folder / split}" for split in ("train", "valid")]
    command = [program, "-s", "de", "-t", "en", *prefs, f"--destdir={folder / 'bin'}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return folder / "bin"


def make_trainer(
    data: Path, model: str, prune: list[str], device: list[str]
) -> tuple[Trainer, list[Any]]:
    """fairseq's trainer for a model, and the batches of its first epoch."""
    flags = [
        str(data), *MODELS[model].split(), "--optimizer", "adam", "--lr", "0.001",
        "--clip-norm", "1", "--criterion", "label_smoothed_cross_entropy",
        "--label-smoothing", "0.1", "--max-tokens", "1500", "--num-workers", "0",
        "--seed", "1", *device, *prune,
    ]  # fmt: skip
    parsed = options.parse_args_and_arch(options.get_training_parser(), input_args=flags)
    cfg = convert_namespace_to_omegaconf(parsed)
    torch.manual_seed(1)
    task = setup_task(cfg.task)
    network = task.build_model(cfg.model)
    trainer = Trainer(cfg, task, network, task.build_criterion(cfg.criterion))
    batches = list(trainer.get_train_iterator(1).next_epoch_itr(shuffle=False))
    trainer.begin_epoch(1)
    return trainer, batches


def seconds(trainer: Trainer, batch: Any) -> float:
    """Process CPU time of one training step (GPU: wall time to its end)."""
    on_gpu = trainer.cuda
    if on_gpu:
        torch.cuda.synchronize()
    clock = time.perf_counter if on_gpu else time.process_time
    start = clock()
    trainer.train_step([batch])
    if on_gpu:
        torch.cuda.synchronize()
    return clock() - start


def check_seconds(trainer: Trainer) -> float:
    """Process CPU time of looking for pruned weights that are not zero, as before each save."""
    session = trainer.task.session
    start = time.process_time()
    check_weights(session.holder, session.rows, session.classes, 1)
    check_copies(session.holder, session._copies, session.averages, 1)
    if trainer.cuda:
        torch.cuda.synchronize()
    return time.process_time() - start


def measure(data: Path, model: str, rounds: int, device: list[str]) -> dict[str, float]:
    """Median seconds of a dense and a pruned step, and the median of their ratios."""
    dense, batches = make_trainer(data, model, [], device)
    pruned, _ = make_trainer(data, model, PRUNE, device)
    for batch in batches[:3]:
        seconds(dense, batch), seconds(pruned, batch)
    rows = []
    for i in range(rounds):
        batch = batches[i % len(batches)]
        pair = [(t, seconds(t, batch)) for t in ((dense, pruned) if i % 2 else (pruned, dense))]
        times = dict(pair)
        rows.append((times[dense], times[pruned]))
    return {
        "check_ms": 1000 * statistics.median(check_seconds(pruned) for _ in range(9)),
        "dense_ms": 1000 * statistics.median(d for d, _ in rows),
        "pruned_ms": 1000 * statistics.median(p for _, p in rows),
        "pruned_over_dense": statistics.median(p / d for d, p in rows),
    }


def set_up() -> list[str]:
    """Load the plugin, take one thread; gives the flags that say which device."""
    root = Path(__file__).resolve().parents[2]
    utils.import_user_module(argparse.Namespace(user_dir=str(root / "fairseq_prune")))
    torch.set_num_threads(1)
    return [] if torch.cuda.is_available() else ["--cpu"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=40, help="steps of each kind (default 40)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON last")
    arguments = parser.parse_args()
    device = set_up()
    result: dict[str, Any] = {"device": "gpu" if not device else "cpu"}
    with tempfile.TemporaryDirectory() as folder:
        data = make_corpus(Path(folder))
        names = ("dense ms", "pruned ms", "pruned / dense", "check / dense")
        print("{:12} {:>9} {:>10} {:>15} {:>15}".format("model", *names))
        for model in MODELS:
            row = result[model] = measure(data, model, arguments.rounds, device)
            print(
                f"{model:12} {row['dense_ms']:9.1f} {row['pruned_ms']:10.1f} "
                f"{row['pruned_over_dense']:15.3f} {row['check_ms'] / row['dense_ms']:15.3f}",
                flush=True,
            )
    if arguments.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
