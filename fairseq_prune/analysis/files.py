"""Small text files, written whole or not at all, and names for them."""

import os
import re
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Write a file to a temporary name beside it, to the disk, and rename it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def file_name(text: str) -> str:
    """``text`` as it may be part of a file's name."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-") or "model"

