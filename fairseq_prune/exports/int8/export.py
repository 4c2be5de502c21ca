"""Writing an LSTM as a folder in 8 bits."""

from collections.abc import Sequence
from pathlib import Path

import torch
from fairseq.data import Dictionary

from fairseq_prune.checkpoints.storage import CheckpointError
from fairseq_prune.exports import INT8
from fairseq_prune.exports.int8 import folder as folders
from fairseq_prune.exports.int8.conversion import network_of
from fairseq_prune.exports.int8.linear import kernels
from fairseq_prune.exports.int8.network import network_in
from fairseq_prune.exports.making import Written, made_of, vocabularies_of
from fairseq_prune.exports.pieces import pieces_for
from fairseq_prune.files.folder import check_export, staged
from fairseq_prune.files.needs import need
from fairseq_prune.tasks.opening import read


def convert(
    checkpoint: str,
    data: str,
    output: str,
    *,
    sentencepiece: Sequence[str] | None = None,
    force: bool = False,
) -> Written:
    """Write the LSTM in a checkpoint as a folder in 8 bits, and open it once.

    Args:
        data: the folder with ``dict.LANG.txt`` of both languages.
        sentencepiece: one model for both sides, or two; None for those in ``data``.
        force: replace an older export.

    Raises ValueError, with nothing written, for a model, folder or torch that cannot be used.
    """
    need("safetensors", f"--format {INT8}")
    kernels()  # before reading a large file
    check_export(output, force, folders.FILE)
    found = read(checkpoint)
    content, place = found.content, Path(data)
    spec, tensors = network_of(content, checkpoint)
    rows = [len(content["model"][f"{side}.embed_tokens.weight"]) for side in ("encoder", "decoder")]
    pair, vocabularies = vocabularies_of(content, rows, place)
    pieces = pieces_for(sentencepiece, place, pair, vocabularies)
    made = made_of(found, checkpoint, INT8, "int8")
    made |= {"languages": list(pair), "positions": list(spec.positions), "torch": torch.__version__}
    with staged("--output", output, whole=True) as folder:
        folders.write(folder, spec, tensors, made, folders.copies(place, pair, pieces))
        _try(folders.read_folder(str(folder)))
    size = sum(path.stat().st_size for path in Path(output).iterdir())
    return Written(output, size, pair, bool(pieces))


def _try(folder: folders.Int8Folder) -> None:
    """Raise CheckpointError where the network cannot be read, or gives no numbers."""
    assert folder.languages is not None
    words = [
        Dictionary.load(str(Path(folder.path) / f"dict.{language}.txt"))
        for language in folder.languages
    ]
    network = network_in(folder, (words[0], words[1]))
    end = torch.tensor([[words[0].eos()]])
    logits, _ = network(src_tokens=end, src_lengths=None, prev_output_tokens=end)
    if not bool(logits.isfinite().all()):
        raise CheckpointError("The network in 8 bits gives no numbers: the weights are too large.")
