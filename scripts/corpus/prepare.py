"""Makes a corpus of configs/data ready for fairseq-preprocess; what is done is not done again."""

import argparse
import math
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from scripts.corpus import tokens
from scripts.corpus.declaration import Corpus, known, read
from scripts.corpus.mirror import Mirror, bring, mirror_of
from scripts.corpus.packed import names_of, sums
from scripts.corpus.pairs import Cleaning, aligned, whole
from scripts.corpus.segment import segment
from scripts.corpus.steps import key_of, step

Pair = tuple[str, ...]
# what the files, the text, its pieces and their numbers take together, in sizes of the files:
# measured on IWSLT'15 (5.1) and Multi30k, whose files are packed (9)
_FACTOR = {False: 6, True: 12}


class Preparation:
    """One corpus on its way.

    Args:
        folder: where everything goes: ``download``, ``raw`` (sentences), ``text`` (what is learnt:
            tokenised, cleaned), ``pieces`` (the same, segmented).
    """

    def __init__(self, corpus: Corpus, folder: Path, mirror: Mirror) -> None:
        self.corpus, self.folder, self.mirror = corpus, folder, mirror

    def say(self, line: str) -> None:
        """Print a line of progress."""
        print(f"{self.corpus.name}: {line}", flush=True)

    def run(self, pieces: int | None) -> None:
        """Everything, up to ``text``, or to so many pieces; of classes, the files alone."""
        self.check_disk()
        if self.corpus.tokenise:
            tokens.check()
        files = bring(self.corpus, self.mirror, self.folder / "download", self.say)
        if self.corpus.text == "classes":
            return
        what = [sums(path, "") for path in files.values()]
        key = key_of(what, self.corpus.splits, self.corpus.text)
        if step(self.folder / "raw", key, lambda to: self.extract(files, to)):
            self.say(f"sentences: {self.folder / 'raw'}")
        corpus, text = self.corpus, self.folder / "text"
        key = key_of(key, corpus.tokenise, corpus.lowercase, corpus.longest, corpus.ratio)
        if step(text, key, self.clean):
            self.say(f"text to learn: {text}")
        if pieces is not None:
            key, cut = key_of(key, pieces), self.folder / "pieces"
            if step(cut, key, lambda to: segment(text, to, corpus.languages, pieces)):
                self.say(f"pieces: {cut}")

    def check_disk(self) -> None:
        """Say how much disk it takes; raises ValueError where there is less."""
        size = self.corpus.size
        if (source := self.mirror.folder) is not None:
            names = [name for file in self.corpus.files for name in names_of(file.name)]
            size = sum((source / n).stat().st_size for n in names if (source / n).is_file())
        packed = any(file.name.endswith(("gz", "xz")) for file in self.corpus.files)
        need = size * _FACTOR[packed]
        self.folder.mkdir(parents=True, exist_ok=True)
        done = sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())
        free = shutil.disk_usage(self.folder).free
        self.say(
            f"{self.corpus.title}: takes about {_size(need)} of disk in {self.folder} "
            f"({_size(free)} free)"
        )
        if free < need - done:
            raise ValueError(
                f"{self.folder} has {_size(free)} free, and about {_size(need)} are needed; free "
                "some, or choose a folder on another disk."
            )

    def extract(self, files: dict[str, Path], to: Path) -> None:
        """The sentences of every split, as they are in the files."""
        for split, patterns in (self.corpus.splits or {}).items():
            if isinstance(patterns, int):
                continue
            pairs = aligned(files, patterns, self.corpus.languages)
            counts = self.write(pairs if split == "train" else whole(pairs, split), to, split)
            self.say(f"{split}: {counts[split]:,} pairs")

    def write(
        self, pairs: Iterable[Pair], to: Path, split: str, every: int | None = None
    ) -> dict[str, int]:
        """Write the pairs, every ``every``-th into valid; the number of each, never 0."""
        with ExitStack() as stack:
            names = [split, "valid"] if every else [split]
            files = {
                name: [
                    stack.enter_context(
                        (to / f"{name}.{side}").open("w", encoding="utf-8", newline="\n")
                    )
                    for side in self.corpus.languages
                ]
                for name in names
            }
            counts = dict.fromkeys(names, 0)
            for number, pair in enumerate(pairs, 1):
                name = "valid" if every and number % every == 0 else split
                counts[name] += 1
                for file, text in zip(files[name], pair, strict=True):
                    file.write(text + "\n")
        for name, count in counts.items():
            if not count:
                raise ValueError(f"the {name} set of {self.corpus.name} has no pairs.")
        return counts

    def clean(self, to: Path) -> None:
        """What is learnt from and tested on: tokenised, lower-cased, the training data cleaned."""
        corpus, splits = self.corpus, self.corpus.splits or {}
        for split, patterns in splits.items():
            if isinstance(patterns, int):
                continue
            pairs = self.read(self.folder / "raw", split)
            if corpus.tokenise:
                pairs = tokens.tokenised(pairs, corpus.languages)
            if corpus.lowercase:  # after: the tokeniser knows abbreviations by their case
                pairs = (tuple(text.lower() for text in pair) for pair in pairs)
            if split != "train":
                self.write(pairs, to, split)
                continue
            cleaning = Cleaning(corpus.longest, corpus.ratio)
            every = splits["valid"] if isinstance(splits["valid"], int) else None
            counts = self.write(cleaning.keep(pairs), to, split, every)
            kept = ", ".join(f"{count:,} for {name}" for name, count in counts.items())
            self.say(f"pairs kept: {kept}; left out: {cleaning.account() or 'none'}")

    def read(self, folder: Path, split: str) -> Iterator[Pair]:
        """The pairs of a split as they were written."""
        with ExitStack() as stack:
            files = [
                stack.enter_context(
                    (folder / f"{split}.{side}").open(encoding="utf-8", newline="\n")
                )
                for side in self.corpus.languages
            ]
            for lines in zip(*files, strict=True):
                yield tuple(line.removesuffix("\n") for line in lines)


def _size(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{math.ceil(count / 1e6)} MB"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code, after making everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", metavar="SET", help=f"one of {', '.join(known())}")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where it goes")
    parser.add_argument("--pieces", metavar="N", help="cut the text into so many pieces")
    options = parser.parse_args(arguments)
    try:
        corpus, pieces = read(options.corpus), _count(options.pieces)
        Preparation(corpus, options.output, mirror_of(corpus, os.environ)).run(pieces)
    except (OSError, ValueError) as error:
        print(f"{options.corpus}: {error}", file=sys.stderr)
        return 2
    return 0


def _count(pieces: str | None) -> int | None:
    if pieces is None:
        return None
    if not (pieces.isascii() and pieces.isdigit()) or not 0 < int(pieces[:7]) < 1_000_000:
        raise ValueError(f"PIECES={pieces} is no number of pieces, such as 4000.")
    return int(pieces)


if __name__ == "__main__":
    sys.exit(main())
