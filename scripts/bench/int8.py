"""How much faster an LSTM decodes in 8 bits than stock fairseq in float32, whole or cut in half.

Speed does not depend on what the weights are, so they are random, and every translation is made
20 tokens long by fairseq's own beam search. All take turns; ratios are of CPU time on one thread.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch
from random_models import ROUNDS, SETTINGS, build, by_fairseq, lstm_flags, make, sources, timed
from shrunk import smaller

import fairseq_prune
from fairseq_prune.checkpoints import storage
from fairseq_prune.exports.forms import read_folder
from fairseq_prune.exports.int8.export import convert
from fairseq_prune.exports.int8.network import network_in
from fairseq_prune.exports.int8.search import narrowed
from fairseq_prune.exports.stripped import stripped

LSTMS = {  # name: cells, layers, vocabulary
    "LSTM, 2 layers of 512, 10,000 words": (512, 2, 10_000),
    "LSTM, 2 layers of 1000, 20,000 words": (1000, 2, 20_000),
}


def measure(cells: int, layers: int, vocabulary: int, settings: list[Any]) -> dict[str, Any]:
    """Bytes, and times by setting: float32, 8 bits, and 8 bits of half of all units."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dense, words = make(folder, lstm_flags(cells, layers), vocabulary)
        smaller(folder, ("hidden+embedding", 0.5))
        storage.save(stripped(dense, "dense.pt"), folder / "stripped.pt")
        models: dict[str, Any] = {"float32": build(dense["cfg"]["model"], words)}
        for label, file in (("8 bits", "dense.pt"), ("8 bits, half cut out", "small.pt")):
            convert(str(folder / file), name, str(folder / label))
            found: Any = read_folder(str(folder / label))
            models[label] = network_in(found, (words, words))
        weights = folder / "8 bits" / "model.safetensors"
        sizes = weights.stat().st_size, (folder / "stripped.pt").stat().st_size
    times = {str(setting): _times(models, words, vocabulary, *setting) for setting in settings}
    return {"bytes": sizes, "seconds": times}


def _times(
    models: dict[str, Any], words: Any, vocabulary: int, beam: int, batch: int
) -> dict[str, list[float]]:
    """Seconds of each model, round by round."""
    tokens = sources(batch, vocabulary)
    runs = {
        label: by_fairseq(model, words, beam, tokens, None if label == "float32" else narrowed)
        for label, model in models.items()
    }
    repeats = max(1, 8 // batch)  # one sentence takes too short a time
    rounds = [
        {label: sum(timed(run) for _ in range(repeats)) for label, run in runs.items()}
        for _ in range(ROUNDS + 1)
    ]
    return {label: [one[label] for one in rounds[1:]] for label in runs}  # the first warms up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", choices=[str(cells) for cells, _, _ in LSTMS.values()],
                        help="the LSTM with so many cells a layer")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one line of JSON last")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    fairseq_prune.register()
    facts = {}
    for name, shape in LSTMS.items():
        if arguments.only not in (None, str(shape[0])):
            continue
        found = facts[name] = measure(*shape, list(SETTINGS))
        ours, theirs = found["bytes"]
        print(f"{name}: {ours:,} bytes of weights, {ours / theirs:.3f} of the float32 checkpoint's")
        for setting, times in found["seconds"].items():
            first = times["float32"]
            said = []
            for label, values in times.items():
                ratios = sorted(a / b for a, b in zip(first, values, strict=True))
                if label != "float32":
                    spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
                    said.append(f"{label} {statistics.median(ratios):.2f}x ({spread})")
            print(f"  beam, batch {setting}: {'; '.join(said)}", flush=True)
    if arguments.json:
        print(json.dumps(facts))


if __name__ == "__main__":
    main()
