"""Writes the embedded German-English corpus: train, valid and test in two languages.

The pairs come from a synchronous grammar (embedded/), so they cost no download and no licence.
The order of the draw is valid, test, train: another --pairs leaves valid and test as they are.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from embedded.sentences import Texts, sentences

LANGUAGES = ("de", "en")
HELD_OUT = 500  # sentences of valid, and of test
SHORTEST, LONGEST = 4, 16  # words on either side
MOST_PAIRS = 500_000


def fits(pair: Texts) -> bool:
    """Whether both sides have an admitted number of words."""
    return all(SHORTEST <= len(text.split()) <= LONGEST for text in pair)


def distinct(pairs: Iterator[Texts]) -> Iterator[Texts]:
    """Pairs of admitted length whose German side was not seen before."""
    seen: set[str] = set()
    for pair in pairs:
        if fits(pair) and pair[0] not in seen:
            seen.add(pair[0])
            yield pair


def corpus(pairs: int, seed: int) -> dict[str, list[Texts]]:
    """Splits train (with so many pairs), valid and test.

    No German and no English sentence of valid or test is in train, nor a German one in both.
    """
    if not 1 <= pairs <= MOST_PAIRS:
        raise ValueError(f"--pairs must be between 1 and {MOST_PAIRS}, but is {pairs}.")
    stream = distinct(sentences(seed))
    valid = [next(stream) for _ in range(HELD_OUT)]
    test = [next(stream) for _ in range(HELD_OUT)]
    held_out = {english for _, english in valid + test}
    train: list[Texts] = []
    while len(train) < pairs:
        pair = next(stream)
        if pair[1] not in held_out:
            train.append(pair)
    return {"train": train, "valid": valid, "test": test}


def write(path: Path, lines: Sequence[str]) -> None:
    """Writes lines under a temporary name, then renames."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    temporary.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    os.replace(temporary, path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code after writing the six files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--output", type=Path, required=True, help="folder for the six files")
    parser.add_argument("--pairs", type=int, default=20_000, help="pairs in train (20000)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the draw (1)")
    options = parser.parse_args(arguments)
    try:
        splits = corpus(options.pairs, options.seed)
        options.output.mkdir(parents=True, exist_ok=True)
        for split, pairs in splits.items():
            for side, language in enumerate(LANGUAGES):
                write(options.output / f"{split}.{language}", [pair[side] for pair in pairs])
    except (ValueError, OSError) as error:
        print(f"embedded_corpus.py: {error}", file=sys.stderr)
        return 2
    sizes = ", ".join(f"{split} {len(pairs)}" for split, pairs in splits.items())
    print(f"Wrote {options.output}/{{train,valid,test}}.{{de,en}}: {sizes} pairs.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
