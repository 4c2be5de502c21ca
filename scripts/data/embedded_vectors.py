"""Writes random start vectors for the words of a fairseq dictionary, for --encoder-embed-path.

fairseq starts LSTM embeddings and weights uniformly within 0.1, so that at first hardly any signal
reaches the attention: a small LSTM spends some thousand updates on growing out of that.  Normal
vectors of standard deviation 0.5 spare them.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from embedded_corpus import write


def vectors(words: Sequence[str], size: int, deviation: float, seed: int) -> Iterator[str]:
    """Lines of the text format: a head with the counts, then each word with its numbers."""
    rng = random.Random(seed)
    yield f"{len(words)} {size}"
    for word in words:
        numbers = (f"{rng.gauss(0.0, deviation):.4f}" for _ in range(size))
        yield f"{word} {' '.join(numbers)}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code after writing the vectors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--dictionary", type=Path, required=True, help="dict.de.txt of data-bin")
    parser.add_argument("--output", type=Path, required=True, help="file to write")
    parser.add_argument("--size", type=int, default=128, help="numbers a word (128)")
    parser.add_argument("--deviation", type=float, default=0.5, help="standard deviation (0.5)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the draw (1)")
    options = parser.parse_args(arguments)
    try:
        lines = options.dictionary.read_text(encoding="utf-8").splitlines()
        words = [line.split(" ")[0] for line in lines]
        write(options.output, list(vectors(words, options.size, options.deviation, options.seed)))
    except OSError as error:
        print(f"embedded_vectors.py: {error}", file=sys.stderr)
        return 2
    print(f"Wrote {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
