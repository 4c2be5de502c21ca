#!/usr/bin/env python3
"""Counts the sentences that CTranslate2 translates as fairseq does, beam 5, at most 200 tokens.

Each checkpoint is exported for each --quantization, and both programs translate the test set on one
thread of a CPU, fairseq in float32. Sentences are compared as subwords.

    python scripts/bench/ctranslate.py runs/quickstart/data/data-bin \\
        runs/quickstart/data/spm/test.de runs/quickstart/transformer/dense/checkpoint_best.pt
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import ctranslate2
import torch

from fairseq_prune import register
from fairseq_prune.evaluation.decode import Decoder
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.exports.ctranslate import QUANTIZATIONS, convert

BEAM, LONGEST = 5, 200


def measure(
    checkpoint: str, decoder: Decoder, sources: list[list[str]], quantization: str
) -> dict[str, Any]:
    """How many translations are the same, the size of the export, and CPU seconds of both."""
    decoder.open(checkpoint)
    start = time.process_time()
    expected = decoder.translate("test").hypotheses
    by_fairseq = time.process_time() - start
    with tempfile.TemporaryDirectory() as folder:
        output = str(Path(folder) / "model")
        size = convert(checkpoint, decoder.settings.data, output, quantization).size
        translator = ctranslate2.Translator(output, intra_threads=1)
        start = time.process_time()
        results = translator.translate_batch(
            sources, beam_size=BEAM, max_decoding_length=LONGEST, max_batch_size=64
        )
        by_ctranslate2 = time.process_time() - start
    found = [" ".join(one.hypotheses[0]) for one in results]
    return {
        "checkpoint": checkpoint,
        "quantization": quantization,
        "same": sum(one == other for one, other in zip(expected, found, strict=True)),
        "sentences": len(expected),
        "bytes": size,
        "fairseq_cpu_s": round(by_fairseq, 2),
        "ctranslate2_cpu_s": round(by_ctranslate2, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", help="the binarised data")
    parser.add_argument("source", help="its test set's source sentences, in subwords")
    parser.add_argument("checkpoints", nargs="+", help="Transformers that were trained on it")
    parser.add_argument(
        "--quantization", nargs="+", choices=QUANTIZATIONS, default=["float32", "int8"]
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    register()
    lines = Path(arguments.source).read_text(encoding="utf-8").splitlines()
    decoder = Decoder(Settings(data=arguments.data, beam=BEAM, max_len_b=LONGEST, cpu=True))
    for checkpoint in arguments.checkpoints:
        for quantization in arguments.quantization:
            sources = [line.split() for line in lines]
            print(json.dumps(measure(checkpoint, decoder, sources, quantization)))


if __name__ == "__main__":
    main()
