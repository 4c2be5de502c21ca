"""Unpacks the embedded German-English corpus: train, valid and test in two languages.

embedded.tar.xz has 20,000, 500 and 500 pairs, all synthetic: a synchronous grammar drew them (with
seed 1), so they cost no download and no licence. See README.md beside it.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

LANGUAGES = ("de", "en")
PACKED = Path(__file__).with_name("embedded.tar.xz")
SHA256 = "ea4a2fc3ba9d24bf9ccb5d1f49ddd0dff3e02df989470bb29b1e7a403e7c97a7"
MOST_PAIRS = 20_000


def corpus(pairs: int, packed: Path = PACKED) -> dict[str, list[str]]:
    """The lines of each file by its name, of train the first ``pairs``.

    Raises ValueError for a senseless number, or where the packed file is not the one that it was.
    """
    if not 1 <= pairs <= MOST_PAIRS:
        raise ValueError(f"PAIRS must be between 1 and {MOST_PAIRS}, but is {pairs}.")
    data = packed.read_bytes() if packed.is_file() else b""
    if hashlib.sha256(data).hexdigest() != SHA256:
        how = "damaged" if packed.exists() else "missing"
        raise ValueError(f"{packed} is {how}; restore it: git checkout -- {packed}")
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:xz") as archive:
        for member in archive:
            file = archive.extractfile(member)
            assert file is not None
            lines = file.read().decode().splitlines()
            found[member.name] = lines[:pairs] if member.name.startswith("train.") else lines
    return found


def write(path: Path, lines: Sequence[str]) -> None:
    """Writes lines under a temporary name, then renames."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    temporary.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    os.replace(temporary, path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code after writing the six files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--output", type=Path, required=True, help="folder for the six files")
    parser.add_argument("--pairs", type=int, default=MOST_PAIRS, help=f"in train ({MOST_PAIRS})")
    options = parser.parse_args(arguments)
    try:
        files = corpus(options.pairs)
        options.output.mkdir(parents=True, exist_ok=True)
        for name, lines in files.items():
            write(options.output / name, lines)
    except (ValueError, OSError) as error:
        print(f"embedded_corpus.py: {error}", file=sys.stderr)
        return 2
    print(f"Wrote {options.output}/{{train,valid,test}}.{{de,en}}: {options.pairs} pairs in train.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
