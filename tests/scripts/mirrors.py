"""Tiny mirrors: the files that configs/data names, filled with the embedded corpus."""

import csv
import hashlib
import io
import subprocess
import sys
import tarfile
from pathlib import Path

from scripts.corpus.declaration import read
from scripts.corpus.pairs import file_of

EMBEDDED = Path(__file__).resolve().parents[2] / "scripts/data/embedded_corpus.py"
PAIRS = 400


def sentences(folder: Path) -> dict[str, list[tuple[str, str]]]:
    """Pairs of the embedded corpus by split, German first."""
    if not (folder / "test.en").is_file():
        words = ["--output", str(folder), "--pairs", str(PAIRS)]
        subprocess.run([sys.executable, str(EMBEDDED), *words], check=True, capture_output=True)
    found = {}
    for split in ("train", "valid", "test"):
        sides = [
            (folder / f"{split}.{side}").read_text(encoding="utf-8").splitlines()
            for side in ("de", "en")
        ]
        found[split] = list(zip(*sides, strict=True))[: PAIRS if split == "train" else 40]
    return found


def mirror(name: str, folder: Path, text: Path) -> Path:
    """A folder with the files of corpus ``name``; English and Vietnamese speak German here."""
    corpus, folder = read(name), folder / name
    folder.mkdir(parents=True)
    pairs = sentences(text)
    archives: dict[str, dict[str, str]] = {}
    if corpus.text == "classes":
        _write_news(folder, pairs)
        return folder
    for split, patterns in (corpus.splits or {}).items():
        if isinstance(patterns, int):
            continue
        for number, pattern in enumerate(patterns):
            for side, language in enumerate(corpus.languages):
                # several files share a split's sentences
                mine = pairs["test" if split.startswith("test") else split]
                lines = [pair[side] for pair in mine[number :: len(patterns)]]
                where, _, inner = file_of(pattern, side, language).partition("/")
                if inner:
                    archives.setdefault(where, {})[inner] = _as(inner, lines)
                else:
                    (folder / where).write_text(_as(where, lines), encoding="utf-8")
    for where, members in archives.items():
        with tarfile.open(folder / where, "w:gz") as made:
            for member, content in members.items():
                info = tarfile.TarInfo(member)
                info.size = len(content.encode())
                made.addfile(info, io.BytesIO(content.encode()))
    return folder


def _write_news(folder: Path, pairs: dict[str, list[tuple[str, str]]]) -> None:
    for split in ("train", "test"):
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, quoting=csv.QUOTE_ALL)
            for number, (german, english) in enumerate(pairs[split]):
                rows.writerow([number % 4 + 1, german, f"{english} class{number % 4}"])


def _as(name: str, lines: list[str]) -> str:
    if name.endswith((".xml", ".sgm")):
        rows = [
            f'<seg id="{n}"> {line.replace("&", "&amp;")} </seg>' for n, line in enumerate(lines)
        ]
        return "<mteval>\n<doc>\n" + "\n".join(rows) + "\n</doc>\n</mteval>\n"
    if Path(name).name.startswith("train.tags."):
        return "<url>http://x</url>\n" + "\n".join(lines) + "\n"
    return "\n".join(lines) + "\n"


def write_sums(folder: Path) -> None:
    """What sha256sum says of the files, beside them."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(folder.iterdir())
    ]
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")
