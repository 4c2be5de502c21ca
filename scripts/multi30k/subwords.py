"""Trains a joint sentencepiece model on train.{de,en} and encodes every split with it."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import sentencepiece

LANGUAGES = ("de", "en")
# sums of floats depend on the number of threads: a fixed one gives the same pieces everywhere
THREADS = 16


def train(raw: Path, model: Path, pieces: int) -> None:
    """Write the unigram model; bos, eos and pad are left to fairseq's dictionary."""
    prefix = model.with_name(f".{model.stem}.tmp")
    sentencepiece.SentencePieceTrainer.train(
        input=[str(raw / f"train.{language}") for language in LANGUAGES],
        model_prefix=str(prefix),
        model_type="unigram",
        vocab_size=pieces,
        character_coverage=1.0,
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        unk_id=0,
        num_threads=THREADS,
        minloglevel=2,
    )
    os.replace(f"{prefix}.vocab", model.with_suffix(".vocab"))
    os.replace(f"{prefix}.model", model)


def encode(source: Path, target: Path, processor: sentencepiece.SentencePieceProcessor) -> None:
    """Write the text of ``source`` as pieces between spaces, line by line."""
    lines = source.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    pieces = processor.encode(lines, out_type=str)
    temporary = target.with_name(f".{target.name}.tmp")
    temporary.write_text("".join(" ".join(line) + "\n" for line in pieces), encoding="utf-8")
    os.replace(temporary, target)


def make(raw: Path, output: Path, pieces: int) -> None:
    """Write output/spm.model and output/spm/SPLIT.LANGUAGE."""
    model = output / "spm.model"
    train(raw, model, pieces)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    (output / "spm").mkdir(parents=True, exist_ok=True)
    for split in ("train", "valid", "test"):
        for language in LANGUAGES:
            name = f"{split}.{language}"
            encode(raw / name, output / "spm" / name, processor)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code, after training and encoding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--raw", type=Path, required=True, help="folder with the text")
    parser.add_argument("--output", type=Path, required=True, help="gets spm.model and spm/")
    parser.add_argument("--pieces", type=int, default=4000, help="size of the vocabulary (4000)")
    options = parser.parse_args(arguments)
    try:
        make(options.raw, options.output, options.pieces)
    except (OSError, RuntimeError) as error:
        print(f"subwords: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
