"""AG News, from its CSV files to the folders that fairseq's sentence_prediction reads.

    python scripts/ag_news/binarise.py --train train.csv --test test.csv --output DIR

A row is CLASS,TITLE,DESCRIPTION, CLASS from 1 to 4, quotes doubled inside quotes, in UTF-8; files
may be packed (.gz, .xz). DIR gets input0/{train,valid,test}.{bin,idx} and label/..., each with its
dict.txt. The words are those of the training rows alone; the classes have a dictionary of their
own, in their order. A text is TITLE and DESCRIPTION, cleaned and split by :func:`words`.

DIR appears when it is whole. With the same files and settings a second run does nothing.
"""

import argparse
import csv
import gzip
import hashlib
import html
import json
import logging
import lzma
import os
import random
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

CLASSES = ("1", "2", "3", "4")
STAMP = "made.json"  # what DIR was made of
FORMAT = 1  # of words() and the split: another number makes data of old ones stale

Example = tuple[str, list[str]]  # class, words

# the files have lost the & of most entities: " #39;s", " quot;", " amp;"
_BARE_ENTITY = re.compile(r"(?<![&\w])(#\d+|#x[0-9a-f]+|amp|quot|lt|gt|nbsp|apos);", re.I)
_TAG = re.compile(r"<[^<>]*>")
_PUNCTUATION = re.compile(r"([.,!?()'])")
_DROPPED = str.maketrans(dict.fromkeys('";:', " "))


def words(text: str) -> list[str]:
    r"""The tokens of a text, lower case.

    A backslash before a letter or digit was a line break, before anything else it goes: ``\$5`` is
    ``$5``. Entities become characters, tags go. ``. , ! ? ( ) '`` are tokens of their own, quotes,
    colons and semicolons go, white space separates.
    """
    text = re.sub(r"\\+(?=[\w\s]|$)", " ", text).replace("\\", "")
    text = _BARE_ENTITY.sub(r"&\1;", text)
    # twice: "&amp;lt;" is there too. An apostrophe belongs to the word before it
    text = html.unescape(html.unescape(re.sub(r" (?=&#39;)", "", text)))
    text = _TAG.sub(" ", text).lower().translate(_DROPPED)
    return _PUNCTUATION.sub(r" \1 ", text).split()


def lines_of(path: Path) -> Iterator[str]:
    """The lines of a file; raises ValueError naming the line that is no UTF-8."""
    opener = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix, open)
    number = 0
    try:
        with opener(path, "rb") as file:
            for number, line in enumerate(file, 1):
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} line {number}: {error.object[error.start]:#04x} is no UTF-8; convert the "
            "file, for example with iconv -f latin1 -t utf-8."
        ) from None
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise ValueError(f"{path} cannot be read ({error}).") from None


def examples(path: Path) -> list[Example]:
    """The rows of a file; raises ValueError naming the line of the first bad one."""
    reader, found, line = csv.reader(lines_of(path), strict=True), [], 1
    try:
        for row in reader:
            found.append(_example(row, f"{path} line {line}"))
            line = reader.line_num + 1  # where the next row begins
    except csv.Error as error:
        raise ValueError(f"{path} line {line}: no CSV ({error}).") from None
    if not found:
        raise ValueError(f"{path} has no rows.")
    return found


def _example(row: list[str], where: str) -> Example:
    if len(row) != 3:
        raise ValueError(f"{where}: {len(row)} columns; a row is CLASS,TITLE,DESCRIPTION.")
    if row[0] not in CLASSES:
        raise ValueError(f"{where}: the class is {row[0][:40]!r}; it must be one of 1, 2, 3, 4.")
    text = words(f"{row[1]} {row[2]}")
    if not text:
        raise ValueError(f"{where}: the text is empty; remove the row.")
    return row[0], text


def split(rows: list[Example], share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Training and validation rows, both in the order of the file; drawn by seed."""
    count = round(share * len(rows))
    if not 0 < count < len(rows):
        raise ValueError(
            f"--valid-share {share} of {len(rows)} rows is {count}; training and validation need "
            "at least one each."
        )
    chosen = set(random.Random(seed).sample(range(len(rows)), count))
    train = [row for number, row in enumerate(rows) if number not in chosen]
    return train, [rows[number] for number in sorted(chosen)]


def write(folder: Path, splits: dict[str, list[Example]]) -> None:
    """One text a line, and its class, for each split."""
    folder.mkdir(parents=True)
    for name, rows in splits.items():
        texts = "".join(" ".join(text) + "\n" for _, text in rows)
        (folder / f"{name}.input0").write_text(texts, encoding="utf-8")
        (folder / f"{name}.label").write_text("".join(f"{label}\n" for label, _ in rows))
    # in a dictionary made from the rows, the most frequent class would be the first
    (folder / "classes.txt").write_text("".join(f"{label} 1\n" for label in CLASSES))


def preprocess(text: Path, output: Path, min_count: int) -> None:
    """fairseq-preprocess, for the texts and for their classes."""
    logging.basicConfig(level=logging.WARNING)  # before fairseq sets it up to say more
    from fairseq import options
    from fairseq_cli.preprocess import main as run

    for kind, flags in (
        ("input0", ["--thresholdsrc", str(min_count)]),
        ("label", ["--srcdict", str(text / "classes.txt")]),
    ):
        flags += ["--only-source", "--destdir", str(output / kind)]
        for name in ("train", "valid", "test"):
            flags += [f"--{name}pref", str(text / f"{name}.{kind}")]
        run(options.get_preprocessing_parser().parse_args(flags))


def made_of(arguments: argparse.Namespace) -> dict[str, object]:
    """What decides the data: the files' contents and the settings."""
    digests = {}
    for name in ("train", "test"):
        path: Path = getattr(arguments, name)
        if not path.is_file():
            raise ValueError(f"--{name} {path} is not a file; give a CSV file of AG News.")
        digests[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    settings = {name: getattr(arguments, name) for name in ("valid_share", "seed", "min_count")}
    return {**digests, **settings, "format": FORMAT}


def is_made(output: Path, source: dict[str, object]) -> bool:
    """Whether the folder holds these data; raises ValueError where it holds something else."""
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return False
    try:
        known = dict(json.loads((output / STAMP).read_text(encoding="utf-8"))["source"])
    except (OSError, ValueError, LookupError, TypeError):
        raise ValueError(
            f"--output {output} exists and is not this program's; give a folder of its own."
        ) from None
    if known != source:
        changed = [name for name in source if source[name] != known.get(name)]
        raise ValueError(
            f"--output {output} holds data that differ in {', '.join(changed)}; remove it, or give "
            "another folder."
        )
    return True


def make(arguments: argparse.Namespace, source: dict[str, object]) -> None:
    """Make the folder under a temporary name, and rename it."""
    train, valid = split(examples(arguments.train), arguments.valid_share, arguments.seed)
    splits = {"train": train, "valid": valid, "test": examples(arguments.test)}
    output: Path = arguments.output
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        write(temporary / "text", splits)
        preprocess(temporary / "text", temporary, arguments.min_count)
        shutil.rmtree(temporary / "text")
        vocabulary = (temporary / "input0" / "dict.txt").read_text(encoding="utf-8").split("\n")
        kept = sum(not line.startswith("madeupword") for line in vocabulary if line)
        sizes = {name: len(rows) for name, rows in splits.items()} | {"words": kept}
        stamp = json.dumps({"source": source, "sizes": sizes}, indent=1)
        (temporary / STAMP).write_text(stamp + "\n", encoding="utf-8")
        os.replace(temporary, output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line; raises ValueError for a value that makes no sense."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--train", type=Path, required=True, metavar="FILE")
    parser.add_argument("--test", type=Path, required=True, metavar="FILE")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--valid-share", type=float, default=0.05, help="of the training rows (default 0.05)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of that draw (default 1)")
    parser.add_argument(
        "--min-count", type=int, default=1, help="rarer words become <unk> (default 1: none)"
    )
    arguments = parser.parse_args(argv)
    if arguments.min_count < 1:
        raise ValueError(f"--min-count {arguments.min_count} must be 1 or more.")
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Make the data and say how large they are; returns the exit code."""
    try:
        arguments = parse(argv)
        source = made_of(arguments)
        if not is_made(arguments.output, source):
            make(arguments, source)
        sizes = json.loads((arguments.output / STAMP).read_text(encoding="utf-8"))["sizes"]
    except (ValueError, OSError) as error:
        print(f"ag_news: {error}", file=sys.stderr)
        return 2
    told = ", ".join(f"{name} {sizes[name]:,} rows" for name in ("train", "valid", "test"))
    print(f"{arguments.output}: {told}; {sizes['words']:,} words")
    return 0


if __name__ == "__main__":
    sys.exit(main())
