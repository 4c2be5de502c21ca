"""Compact files: a model without its zeros, in a safetensors container.

A file is untrusted. Nothing in it is code or a pickle; each size in it is checked before memory
is taken, the container by safetensors, everything in it here; what is decompressed never exceeds
the shapes that were checked. The container's only metadata says the format and the SHA-256 of the
part ``manifest``, which is JSON and holds zstd's checksum of every other part: SHA-256 of the parts
too would double the time of reading on a processor that does not have it in hardware. Checksums
find damage, not malice, which can compute them; the checks above are for that.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from fairseq_prune.checkpoints import storage
from fairseq_prune.checkpoints.storage import CheckpointError
from fairseq_prune.exports.manifest import Manifest, StoredTensor, read_json
from fairseq_prune.exports.planes import DTYPES, decode, encode
from fairseq_prune.files.needs import need
from fairseq_prune.files.text import first_line

FORMAT = 1
_KEY, _MANIFEST = "fairseq_prune", "manifest"
# of the container's header and of the manifest; those of 1,000 tensors take half a megabyte
_MAX_TEXT = 1 << 24
_SUBJECT = "A compact file"
Tick = Callable[[int], None]


def write(content: Mapping[str, Any], path: str | Path, tick: Tick = lambda _: None) -> None:
    """Write a checkpoint as a compact file, in one step.

    Args:
        content: ``model``, in which tied names share one tensor object, and settings.
        tick: called with each tensor's size when it is compressed.

    Raises ValueError for what such a file cannot hold, and CheckpointError where it cannot be
    written.
    """
    need("safetensors", _SUBJECT)  # before the work begins
    numbers: dict[int, int] = {}
    names = {n: numbers.setdefault(id(t), len(numbers)) for n, t in content["model"].items()}
    tensors = {id(tensor): tensor for tensor in content["model"].values()}
    for name, tensor in content["model"].items():
        if _dtype(tensor) not in DTYPES:
            raise ValueError(f"{path} cannot hold {name}, which is of the type {tensor.dtype}.")
    entries: list[StoredTensor] = []
    parts: dict[str, bytes] = {}
    for index, tensor in enumerate(tensors.values()):
        planes = encode(tensor)
        sums = tuple(part[-4:].hex() for part in planes.parts)
        entry = StoredTensor(_dtype(tensor), tuple(tensor.shape), planes.kept, planes.base, sums)
        parts |= zip(entry.parts(index), planes.parts, strict=True)
        entries.append(entry)
        tick(tensor.numel())
    settings = {key: value for key, value in content.items() if key != "model"}
    manifest = Manifest(names, entries, settings)
    parts[_MANIFEST] = manifest.pack()
    try:
        manifest.check_size(sum(map(len, parts.values())))
    except ValueError as error:
        raise ValueError(f"{path} is not written, as nobody could read it: {error}.") from None
    _store(parts, path)


def _store(parts: Mapping[str, bytes], path: str | Path) -> None:
    facts = {"format": FORMAT, "sha256": hashlib.sha256(parts[_MANIFEST]).hexdigest()}
    arrays = {name: np.frombuffer(part, dtype=np.uint8) for name, part in parts.items()}
    failure = need("safetensors", _SUBJECT).SafetensorError
    containers = need("safetensors.numpy", _SUBJECT)
    with storage.replacing(path) as file:
        try:
            containers.save_file(arrays, file.name, metadata={_KEY: json.dumps(facts)})
        except failure as error:
            raise OSError(str(error)) from None


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def read(path: str | Path, tick: Tick = lambda _: None) -> dict[str, Any]:
    """The checkpoint that a compact file holds, all of it in memory.

    Args:
        tick: called with each tensor's size when it is there.

    Raises CheckpointError for a file that is damaged, of a later format, or no compact file.
    """
    with _opened(path) as (file, where):
        manifest = _manifest(file, where)
        tensors = _tensors(file, manifest, tick)
        model = {name: tensors[index] for name, index in manifest.names.items()}
    return {**manifest.settings, "model": model}


def read_settings(path: str | Path) -> dict[str, Any]:
    """What the checkpoint in a compact file has beside its model; raises as :func:`read` does."""
    with _opened(path) as (file, where):
        return dict(_manifest(file, where).settings)


@contextmanager
def _opened(path: str | Path) -> Iterator[tuple[Any, Path]]:
    """The container and its path; what is wrong with it becomes a CheckpointError."""
    containers = need("safetensors", _SUBJECT)
    where = Path(path)
    try:
        with where.open("rb") as file:
            if int.from_bytes(file.read(8), "little") > _MAX_TEXT:
                raise ValueError("its header is too long")
        with containers.safe_open(where, framework="pt") as file:
            yield file, where
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, containers.SafetensorError) as error:
        first = first_line(error, 160)
        raise CheckpointError(
            f"{path} cannot be read: it is truncated or damaged ({first})."
        ) from None


def _manifest(file: Any, path: Path) -> Manifest:
    facts = _facts(file, path)
    stored = set(file.keys())
    data = _part(file, _MANIFEST)[:_MAX_TEXT].tobytes() if _MANIFEST in stored else b""
    if hashlib.sha256(data).hexdigest() != facts.get("sha256"):
        raise ValueError("the checksum of its manifest does not match")
    manifest = Manifest.unpack(data)
    if stored != {_MANIFEST, *manifest.parts()}:
        raise ValueError("its parts are not those of its manifest")
    manifest.check_size(os.path.getsize(path))
    return manifest


def _tensors(file: Any, manifest: Manifest, tick: Tick) -> list[Tensor]:
    tensors = []
    for index, entry in enumerate(manifest.tensors):
        parts = [_part(file, name) for name in entry.parts(index)]
        if tuple(part[-4:].tobytes().hex() for part in parts) != entry.sums:
            raise ValueError("a checksum does not match")
        flat = decode(parts, DTYPES[entry.dtype], entry.size, entry.kept, entry.base)
        tensors.append(flat.reshape(entry.shape))
        tick(entry.size)
    return tensors


def _facts(file: Any, path: Path) -> dict[str, Any]:
    text = (file.metadata() or {}).get(_KEY)
    if text is None:
        raise CheckpointError(
            f"{path} is a safetensors file, but none that `fairseq-prune export` wrote."
        )
    facts = read_json(text)
    version = facts.get("format") if isinstance(facts, dict) else None
    if type(version) is not int or version < 1:
        raise ValueError("it does not say its format")
    if version > FORMAT:
        raise CheckpointError(
            f"{path} has format {version}, and this version of fairseq_prune reads up to {FORMAT}: "
            "install a newer fairseq_prune."
        )
    return dict(facts)


def _part(file: Any, name: str) -> np.ndarray:
    about = file.get_slice(name)
    if about.get_dtype() != "U8" or len(about.get_shape()) != 1:
        raise ValueError("a part is not in bytes")
    part: np.ndarray = file.get_tensor(name).numpy()  # mapped from the file
    return part
