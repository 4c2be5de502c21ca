"""A Transformer in the format of CTranslate2, which decodes without fairseq or torch.

https://github.com/OpenNMT/CTranslate2; its own converter of fairseq's models builds the model with
fairseq, and knows neither shrunk models nor files that must not run code.
"""

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from fairseq_prune.checkpoints.kept_layers import without_layers
from fairseq_prune.exports import CTRANSLATE2, QUANTIZATIONS
from fairseq_prune.exports.making import Written, made_of, vocabularies_of
from fairseq_prune.exports.pieces import pieces_for
from fairseq_prune.exports.transformer import shape_of
from fairseq_prune.files.folder import check_export, size_in, staged
from fairseq_prune.files.needs import need
from fairseq_prune.network.weights import SHADOW
from fairseq_prune.tasks.opening import read

FILE = "model.bin"  # the weights; every folder of CTranslate2 has it
PIECES = ("source.spm.model", "target.spm.model")
SHORTLIST = "vmap.txt"  # CTranslate2's name for it


def convert(
    checkpoint: str,
    data: str,
    output: str,
    quantization: str = QUANTIZATIONS[0],
    *,
    sentencepiece: Sequence[str] | None = None,
    shortlist: int | None = None,
    force: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Written:
    """Write the Transformer in a checkpoint as a folder of CTranslate2.

    Args:
        data: the folder with ``dict.LANG.txt`` of both languages.
        quantization: one of ``QUANTIZATIONS``.
        sentencepiece: one model for both sides, or two; None for those in ``data``.
        shortlist: candidates a word of a lexical shortlist, learnt from ``data``; None for none.
        force: replace an older export.
        tell: is told how far it is.

    Raises ValueError, with nothing written, for a model or folder that cannot be used.
    """
    spec_module = _ctranslate_spec()  # before reading a large file
    check_export(output, force, FILE)
    content = without_layers((found := read(checkpoint)).content)
    shape = shape_of(content, checkpoint)
    rows = shape.encoder.tokens, shape.decoder.tokens
    pair, vocabularies = vocabularies_of(content, rows, Path(data))
    pieces = pieces_for(sentencepiece, Path(data), pair, vocabularies)
    _check_scales(content["model"], quantization)
    made = made_of(found, checkpoint, CTRANSLATE2, quantization, shortlist)
    made |= {"languages": list(pair), "positions": list(shape.positions)}
    lists = None if shortlist is None else _learnt(data, made, vocabularies, shortlist, tell)
    converter = spec_module.FilledConverter(shape, content["model"], vocabularies, made)
    with staged("--output", output, whole=True) as folder:
        converter.convert(str(folder), quantization=quantization, force=True)
        _add(folder, pieces, lists)
    return Written(output, size_in(output), pair, bool(pieces), made.get("shortlist"))


def _add(folder: Path, pieces: Sequence[Path], lists: str | None) -> None:
    """Put the SentencePiece models and the shortlist, if there are any, into a folder."""
    for path, name in zip(pieces, PIECES, strict=False):
        shutil.copyfile(path, folder / name)
    if lists is not None:
        (folder / SHORTLIST).write_text(lists, encoding="utf-8", newline="\n")


def _learnt(
    data: str,
    made: dict[str, Any],
    vocabularies: tuple[list[str], list[str]],
    candidates: int,
    tell: Callable[[str], None],
) -> str:
    """The text of a lexical shortlist; what config.json says of it is put into ``made``."""
    from fairseq_prune.exports.shortlist import shortlist_of  # fairseq takes seconds to load

    tell("learning the shortlist")
    source, target = made["languages"]
    found = shortlist_of(Path(data), (source, target), vocabularies, candidates, tell)
    text = found.text(vocabularies)
    digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
    made["shortlist"] = {**found.facts(), "sha256": digest}
    return text


def _ctranslate_spec() -> Any:
    """Our module that needs CTranslate2, which is an extra."""
    need("ctranslate2", "--format ctranslate2")
    from fairseq_prune.exports import ctranslate_spec

    return ctranslate_spec


def _check_scales(state: Mapping[str, Tensor], quantization: str) -> None:
    if quantization != "int16":  # whose one scale for a matrix divides by the largest weight
        return
    for name, value in state.items():
        if value.dim() == 2 and not SHADOW.search(name) and not value.any():
            raise ValueError(
                f"--quantization int16 cannot hold {name}, of which every weight is zero; "
                "take int8, which has a scale for each row."
            )
