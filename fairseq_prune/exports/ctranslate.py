"""A Transformer in the format of CTranslate2, which decodes without fairseq or torch.

https://github.com/OpenNMT/CTranslate2; its own converter of fairseq's models builds the model with
fairseq, and knows neither shrunk models nor files that must not run code.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from fairseq_prune.exports import CTRANSLATE2, QUANTIZATIONS
from fairseq_prune.exports.making import Written, made_of, vocabularies_of
from fairseq_prune.exports.pieces import models_for
from fairseq_prune.exports.transformer import shape_of
from fairseq_prune.files.folder import check_export, staged
from fairseq_prune.files.needs import need
from fairseq_prune.network.weights import SHADOW
from fairseq_prune.tasks.opening import read

FILE = "model.bin"  # the weights; every folder of CTranslate2 has it
PIECES = ("source.spm.model", "target.spm.model")


def convert(
    checkpoint: str,
    data: str,
    output: str,
    quantization: str = QUANTIZATIONS[0],
    *,
    sentencepiece: Sequence[str] | None = None,
    force: bool = False,
) -> Written:
    """Write the Transformer in a checkpoint as a folder of CTranslate2.

    Args:
        data: the folder with ``dict.LANG.txt`` of both languages.
        quantization: one of ``QUANTIZATIONS``.
        sentencepiece: one model for both sides, or two; None for those in ``data``.
        force: replace an older export.

    Raises ValueError, with nothing written, for a model or folder that cannot be used.
    """
    spec_module = _ctranslate_spec()  # before reading a large file
    check_export(output, force, FILE)
    found = read(checkpoint)
    content = found.content
    shape = shape_of(content, checkpoint)
    rows = shape.encoder.tokens, shape.decoder.tokens
    pair, vocabularies = vocabularies_of(content, rows, Path(data))
    pieces = models_for(Path(data), pair, vocabularies, sentencepiece)
    _check_scales(content["model"], quantization)
    made = made_of(found, checkpoint, CTRANSLATE2, quantization)
    made |= {"languages": list(pair), "positions": list(shape.positions)}
    converter = spec_module.FilledConverter(shape, content["model"], vocabularies, made)

    with staged("--output", output, whole=True) as folder:
        converter.convert(str(folder), quantization=quantization, force=True)
        for path, name in zip(pieces, PIECES, strict=False):
            shutil.copyfile(path, folder / name)
    size = sum(path.stat().st_size for path in Path(output).iterdir())
    return Written(output, size, pair, bool(pieces))


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
