"""Steps that leave a folder each, done once, and again where what they are made from changed."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fairseq_prune.files.writing import write_text

_STAMP = "made-from.txt"


def key_of(*parts: Any) -> str:
    """A short digest of values that JSON can say."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def step(folder: Path, key: str, make: Callable[[Path], None]) -> bool:
    """Have ``make`` fill ``folder``, unless it did so from what ``key`` says; whether it did.

    It is filled under another name, and renamed when it is whole.
    """
    stamp = folder / _STAMP
    if stamp.is_file() and stamp.read_text(encoding="utf-8").strip() == key:
        return False
    unfinished = folder.with_name(f"{folder.name}.part")
    for path in (unfinished, folder):
        if path.exists():
            shutil.rmtree(path)
    unfinished.mkdir(parents=True)
    make(unfinished)
    write_text(unfinished / _STAMP, key + "\n")
    unfinished.rename(folder)
    return True
