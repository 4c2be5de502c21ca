"""What ``configs/data/SET.yaml`` says of a corpus: where it is, and what to make of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fairseq_prune.study.document import Node, read_yaml

FOLDER = Path(__file__).resolve().parents[2] / "configs" / "data"
SPLITS = ("train", "valid", "test")
MORE = ("test1", "test2")  # other test sets, as fairseq-preprocess numbers them
TEXTS = ("raw", "moses", "classes")
_KEYS = (
    "title", "languages", "address", "text", "tokenise", "lowercase", "files", "splits",
    "clean",
)  # fmt: skip


@dataclass(frozen=True)
class File:
    """A file to fetch.

    Args:
        size: bytes, as far as is known; 0 where it is not.
        sha256: of the file, or of what is packed in it; None where nobody published it.
        address: of its folder, where it is another than the corpus'.
    """

    name: str
    size: int
    sha256: str | None
    address: str | None = None


@dataclass(frozen=True)
class Corpus:
    """A data set.

    Args:
        name: of the file, and of the folder in ``scripts``.
        languages: source, target; empty where it is not for translation.
        text: what the files hold: ``raw`` text, ``moses`` for its tokens, HTML-escaped, or
            ``classes`` for rows of AG News.
        tokenise, lowercase: what is done to the text before anything else.
        splits: the files of each split, ``*`` standing for the language, or a number N: every Nth
            pair of the training data.
        longest, ratio: of a training pair's words; None for no limit.
    """

    name: str
    title: str
    languages: tuple[str, ...]
    address: str
    files: tuple[File, ...]
    text: str = "raw"
    tokenise: bool = False
    lowercase: bool = False
    splits: Mapping[str, tuple[str, ...] | int] | None = None
    longest: int | None = None
    ratio: float | None = None

    @property
    def size(self) -> int:
        """Bytes of all files together, as far as is known."""
        return sum(file.size for file in self.files)


def known() -> list[str]:
    """The corpora that are declared."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read(name: str) -> Corpus:
    """The corpus of that name; raises ValueError where there is none, or its file is wrong."""
    if name not in known():
        raise ValueError(f"there is no data set {name!r}; there are {', '.join(known())}.")
    tree = read_yaml(FOLDER / f"{name}.yaml")
    entries = tree.keys(_KEYS, ("title", "address", "files"))
    clean = entries["clean"].keys(("longest", "ratio")) if "clean" in entries else {}
    return Corpus(
        name=name,
        title=entries["title"].text,
        languages=tuple(item.text for item in entries["languages"].items)
        if "languages" in entries
        else (),
        address=entries["address"].text.rstrip("/"),
        files=tuple(_file(*item) for item in entries["files"].entries.items()),
        text=_one_of(entries["text"], TEXTS) if "text" in entries else "raw",
        tokenise=_is_true(entries, "tokenise"),
        lowercase=_is_true(entries, "lowercase"),
        splits=_splits(entries["splits"]) if "splits" in entries else None,
        longest=clean["longest"].whole if "longest" in clean else None,
        ratio=clean["ratio"].number if "ratio" in clean else None,
    )


def _file(name: str, node: Node) -> File:
    entries = node.keys(("bytes", "sha256", "address"))
    sha256 = entries["sha256"].text if "sha256" in entries else None
    if sha256 is not None and not re.fullmatch("[0-9a-f]{64}", sha256):
        node.fail(f"{node.path}.sha256 is {sha256!r}; it must have 64 digits from 0 to f.")
    if Path(name).name != name or name.startswith("."):
        node.fail(f"{name!r} is no name of a file.")
    # more than what `whole` allows: a corpus may have gigabytes
    size = int(entries["bytes"].number) if "bytes" in entries else 0
    address = entries["address"].text.rstrip("/") if "address" in entries else None
    return File(name, size, sha256, address)


def _splits(node: Node) -> dict[str, tuple[str, ...] | int]:
    found: dict[str, tuple[str, ...] | int] = {}
    for split, value in node.keys((*SPLITS, *MORE), SPLITS).items():
        texts = [item.text for item in value.items]
        every = re.fullmatch(r"every (\d{1,6})", texts[0])
        found[split] = int(every[1]) if every else tuple(texts)
    return found


def _is_true(entries: Mapping[str, Node], key: str) -> bool:
    return key in entries and _one_of(entries[key], ("true", "false")) == "true"


def _one_of(node: Node, known: tuple[str, ...]) -> str:
    if node.text not in known:
        node.fail(f"{node.path} is {node.text!r}; it can be {' or '.join(known)}.")
    return node.text
