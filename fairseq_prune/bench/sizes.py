"""What a model takes: bytes in every form, weights, zeros, and work for each token."""

import gzip
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairseq_prune.checkpoints import storage
from fairseq_prune.checkpoints.checkpoint import Opened
from fairseq_prune.exports import compact
from fairseq_prune.exports.stripped import stripped
from fairseq_prune.files.needs import need
from fairseq_prune.network.ties import parameters_in
from fairseq_prune.network.weights import Weights
from fairseq_prune.network.work import Work, work

LEVEL = 3  # zstd's own default
FORMS = (
    *("as it is", "stripped", "stripped, float16", "stripped, gzip", "stripped, zstd"),
    *("compact", "compact, float16"),
)


@dataclass(frozen=True)
class Counts:
    """Weights and work.

    Args:
        parameters, nonzero: of the whole model, shared ones once.
        dense, sparse: multiply-adds for a source and a target token, with all the weights of its
            matrices and with those that are not zero.
    """

    parameters: int
    nonzero: int
    dense: Work
    sparse: Work

    @property
    def work_sparsity(self) -> float:
        """The fraction of the multiply-adds that zeros would save a program that skips them."""
        return 1.0 - self.sparse.pair / self.dense.pair if self.dense.pair else 0.0

    def as_dict(self) -> dict[str, Any]:
        """The counts for JSON."""
        return {
            "parameters": self.parameters,
            "nonzero": self.nonzero,
            "multiply_adds_per_source_token": [self.dense.source, self.sparse.source],
            "multiply_adds_per_target_token": [self.dense.target, self.sparse.target],
            "work_sparsity": self.work_sparsity,
        }


def count(opened: Opened) -> Counts:
    """The counts of a checkpoint."""
    everything = parameters_in(opened.content["model"])
    weights: Weights = opened.weights
    used = {name: int((weight.tensor != 0).sum()) for name, weight in weights.items()}
    return Counts(
        sum(value.numel() for value in everything.values()),
        sum(int((value != 0).sum()) for value in everything.values()),
        work(weights),
        work(weights, used),
    )


def together(every: Sequence[Counts]) -> Counts:
    """The counts of models that all take part in each translation; of one, its own."""

    def work_of(pick: Callable[[Counts], Work]) -> Work:
        return Work(sum(pick(c).source for c in every), sum(pick(c).target for c in every))

    return Counts(
        sum(c.parameters for c in every),
        sum(c.nonzero for c in every),
        work_of(lambda c: c.dense),
        work_of(lambda c: c.sparse),
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
