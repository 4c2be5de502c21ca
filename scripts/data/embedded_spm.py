"""Trains a joint sentencepiece model on train.{de,en} and encodes all splits with it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import sentencepiece
from embedded_corpus import LANGUAGES, write


def train(raw: Path, model: Path, vocabulary: int) -> None:
    """Writes the unigram model; ids of bos, eos and pad are left to fairseq's dictionary."""
    prefix = model.with_name(f"{model.stem}.{os.getpid()}.part")
    sentencepiece.SentencePieceTrainer.train(
        input=[str(raw / f"train.{language}") for language in LANGUAGES],
        model_prefix=str(prefix),
        model_type="unigram",
        vocab_size=vocabulary,
        character_coverage=1.0,
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        unk_id=0,
        num_threads=1,
        minloglevel=2,
    )
    os.replace(f"{prefix}.vocab", model.with_suffix(".vocab"))
    os.replace(f"{prefix}.model", model)


def encode(raw: Path, model: Path, output: Path) -> None:
    """Writes output/SPLIT.LANGUAGE with pieces between spaces."""
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    output.mkdir(parents=True, exist_ok=True)
    for split in ("train", "valid", "test"):
        for language in LANGUAGES:
            lines = (raw / f"{split}.{language}").read_text(encoding="utf-8").splitlines()
            pieces = processor.encode(lines, out_type=str, num_threads=1)
            write(output / f"{split}.{language}", [" ".join(line) for line in pieces])


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code after training and encoding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--raw", type=Path, required=True, help="folder with the text")
    parser.add_argument("--output", type=Path, required=True, help="gets spm.model and spm/")
    parser.add_argument("--vocabulary", type=int, default=1500, help="number of pieces (1500)")
    options = parser.parse_args(arguments)
    model = options.output / "spm.model"
    try:
        train(options.raw, model, options.vocabulary)
        encode(options.raw, model, options.output / "spm")
    except (OSError, RuntimeError) as error:
        print(f"embedded_spm.py: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(f"Wrote {model} and {options.output / 'spm'}/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
