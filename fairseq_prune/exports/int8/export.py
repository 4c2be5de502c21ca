"""Writing an LSTM as a folder in 8 bits."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from fairseq.data import Dictionary
from torch import Tensor

from fairseq_prune.checkpoints.storage import CheckpointError
from fairseq_prune.exports import INT8
from fairseq_prune.exports.int8 import folder as folders
from fairseq_prune.exports.int8.calibration import (
    calibrated,
    sparse_matrices,
    training_pairs,
)
from fairseq_prune.exports.int8.conversion import network_of
from fairseq_prune.exports.int8.linear import kernels
from fairseq_prune.exports.int8.lists import tensors_of
from fairseq_prune.exports.int8.network import network_in
from fairseq_prune.exports.int8.parts import Spec
from fairseq_prune.exports.int8.sparse_linear import ENOUGH
from fairseq_prune.exports.making import Written, made_of, vocabularies_of
from fairseq_prune.exports.pieces import pieces_for
from fairseq_prune.exports.shortlist import shortlist_of
from fairseq_prune.files.folder import check_export, size_in, staged
from fairseq_prune.files.needs import need
from fairseq_prune.tasks.opening import read


def convert(
    checkpoint: str,
    data: str,
    output: str,
    *,
    sentencepiece: Sequence[str] | None = None,
    shortlist: int | None = None,
    force: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Written:
    """Write the LSTM in a checkpoint as a folder in 8 bits, and open it once.

    Args:
        data: the folder with ``dict.LANG.txt`` of both languages.
        sentencepiece: one model for both sides, or two; None for those in ``data``.
        shortlist: candidates a word of a lexical shortlist, learnt from ``data``; None for none.
        force: replace an older export.
        tell: is told how far it is.

    Raises ValueError, with nothing written, for a model, folder or torch that cannot be used.
    """
    need("safetensors", f"--format {INT8}")
    kernels()  # before reading a large file
    check_export(output, force, folders.FILE)
    content, place = (found := read(checkpoint)).content, Path(data)
    spec, tensors = network_of(content, checkpoint)
    tables = (content["model"][f"{side}.embed_tokens.weight"] for side in ("encoder", "decoder"))
    pair, vocabularies = vocabularies_of(content, list(map(len, tables)), place)
    pieces = pieces_for(sentencepiece, place, pair, vocabularies)
    spec, zeros = _with_ranges(spec, tensors, place, words := _dictionaries(place, pair), pair)
    made = made_of(found, checkpoint, INT8, "int8", shortlist)
    made |= {"languages": list(pair), "positions": list(spec.positions), "torch": torch.__version__}
    learnt = shortlist and shortlist_of(place, pair, vocabularies, shortlist, tell)
    made |= {"shortlist": learnt.facts()} if learnt else {}
    with staged("--output", output, whole=True) as folder:
        copied = folders.copies(place, pair, pieces)
        folders.write(folder, spec, tensors, made, copied, tensors_of(learnt) if learnt else None)
        _try(folders.read_folder(str(folder)), words)
    return Written(output, size_in(output), pair, bool(pieces), made.get("shortlist"), zeros)


def _dictionaries(data: Path, pair: tuple[str, str]) -> tuple[Dictionary, Dictionary]:
    source, target = (Dictionary.load(str(data / f"dict.{language}.txt")) for language in pair)
    return source, target


def _with_ranges(
    spec: Spec,
    tensors: Mapping[str, Tensor],
    data: Path,
    dictionaries: tuple[Dictionary, Dictionary],
    pair: tuple[str, str],
) -> tuple[Spec, str | None]:
    """The network, ready to leave out blocks of zeros if it has many, and what to say of them."""
    names = sparse_matrices(tensors)
    if not names:
        return spec, None
    has = f"{len(names)} matrices of the decoder lack {ENOUGH:.0%} or more of their 1 x 4 blocks"
    pairs = training_pairs(data, *pair)
    if not pairs:
        return spec, (
            f"{has}, which gains no speed: {data} has no training sentences ({'-'.join(pair)}) to "
            "measure the ranges of outputs on"
        )
    measured = f"on {len(pairs)} training sentences"
    return calibrated(spec, tensors, dictionaries, pairs), (
        f"{has}, and decoding leaves these out; the ranges of outputs were measured {measured}"
    )


def _try(folder: folders.Int8Folder, dictionaries: tuple[Dictionary, Dictionary]) -> None:
    """Raise CheckpointError where the network cannot read what was written, or gives no number."""
    network = network_in(folder, dictionaries)
    end = torch.tensor([[dictionaries[0].eos()]])
    logits, _ = network(src_tokens=end, src_lengths=None, prev_output_tokens=end)
    if not bool(logits.isfinite().all()):
        raise CheckpointError("The network in 8 bits gives no numbers: the weights are too large.")
