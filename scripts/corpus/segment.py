"""Text to the pieces of sentencepiece."""

import io
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import sentencepiece

from scripts.corpus.declaration import MORE, SPLITS

# sums of floats depend on the number of threads: a fixed one gives the same pieces everywhere
THREADS = 16
_SAMPLE = 5_000_000  # sentences are enough to learn pieces from, and fit into memory


def segment(text: Path, output: Path, languages: tuple[str, ...], pieces: int) -> None:
    """Write output/SPLIT.LANGUAGE as pieces of one model for both languages, output/spm.model.

    Raises ValueError where there is too little text for so many pieces.
    """
    model = output / "spm.model"
    train(_sample([text / f"train.{one}" for one in languages]), model, pieces)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    splits = [s for s in (*SPLITS, *MORE) if (text / f"{s}.{languages[0]}").is_file()]
    for split in splits:
        for language in languages:
            _encode(text / f"{split}.{language}", output / f"{split}.{language}", processor)


def _sample(files: list[Path]) -> Iterator[str]:
    """The lines of the files or, where they are too many, every Nth of each."""
    count = 0
    for path in files:
        with path.open("rb") as file:
            count += sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    for path in files:
        with path.open(encoding="utf-8", newline="\n") as lines:
            yield from islice(lines, 0, None, -(-count // _SAMPLE))


def train(lines: Iterator[str], model: Path, pieces: int) -> None:
    """Write the model; bos, eos and pad are left to fairseq's dictionary."""
    written = io.BytesIO()  # a model that writes itself holds the paths that it came from
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=(line.removesuffix("\n") for line in lines),
            model_writer=written,
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
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"sentencepiece made no {pieces:,} pieces of this text (set PIECES to fewer): {reason}"
        ) from None
    model.write_bytes(written.getvalue())


def _encode(source: Path, target: Path, processor: sentencepiece.SentencePieceProcessor) -> None:
    """Write the text as pieces between spaces, line by line; only a line feed ends a line."""
    with (
        source.open(encoding="utf-8", newline="\n") as read,
        target.open("w", encoding="utf-8", newline="\n") as write,
    ):
        while lines := read.readlines(1 << 24):
            encoded = processor.encode(
                [line.removesuffix("\n") for line in lines],
                out_type=str,
                num_threads=os.cpu_count(),
            )
            write.writelines(" ".join(pieces) + "\n" for pieces in encoded)
