"""What a model takes: bytes in every form."""

import gzip
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fairseq_prune.checkpoints import storage
from fairseq_prune.exports import compact
from fairseq_prune.exports.stripped import stripped
from fairseq_prune.files.needs import need

LEVEL = 3  # zstd's own default
FORMS = (
    *("as it is", "stripped", "stripped, float16", "stripped, gzip", "stripped, zstd"),
    *("compact", "compact, float16"),
)


def sizes(path: str, content: Mapping[str, Any], folder: Path) -> dict[str, int]:
    """Bytes by form; what is written to find out stays in ``folder``.

    Args:
        path: of the checkpoint as it is.
        content: of the checkpoint.
    """
    zstandard = need("zstandard", "fairseq-prune bench")
    found = {"as it is": os.path.getsize(path)}
    for suffix, halved in (("", False), (", float16", True)):
        small = stripped(content, path, halved)
        plain, packed = folder / f"stripped{suffix}.pt", folder / f"compact{suffix}.fsz"
        storage.save(small, plain)
        found[f"stripped{suffix}"] = os.path.getsize(plain)
        compact.write(small, packed)
        found[f"compact{suffix}"] = os.path.getsize(packed)
    plain = folder / "stripped.pt"
    zstd = zstandard.ZstdCompressor(LEVEL)
    found["stripped, gzip"] = _compressed(plain, lambda to: gzip.GzipFile(fileobj=to, mode="wb"))
    found["stripped, zstd"] = _compressed(plain, lambda to: zstd.stream_writer(to, closefd=False))
    return {form: found[form] for form in FORMS}


def _compressed(path: Path, opened: Callable[[Any], Any]) -> int:
    target = path.with_suffix(".compressed")
    with path.open("rb") as source, target.open("wb") as file, opened(file) as writer:
        shutil.copyfileobj(source, writer, 1 << 20)
    size = target.stat().st_size
    target.unlink()
    return size
