"""A Transformer in the format of CTranslate2, which decodes without fairseq or torch.

https://github.com/OpenNMT/CTranslate2; its own converter of fairseq's models builds the model with
fairseq, and knows neither shrunk models nor files that must not run code.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from fairseq_prune import __version__
from fairseq_prune.checkpoints.checkpoint import opened_of
from fairseq_prune.checkpoints.counts import count
from fairseq_prune.checkpoints.record import read_record
from fairseq_prune.checkpoints.steps import export_steps
from fairseq_prune.data.dictionary import languages_of, read_dictionary
from fairseq_prune.exports import QUANTIZATIONS
from fairseq_prune.exports.transformer import Shape, shape_of
from fairseq_prune.files.folder import check_export, staged
from fairseq_prune.files.needs import need
from fairseq_prune.network.options import task_options
from fairseq_prune.network.ties import nonzero_count, parameter_count
from fairseq_prune.network.weights import SHADOW
from fairseq_prune.tasks.opening import Read, read

FILE = "model.bin"  # the weights; every folder of CTranslate2 has it
PIECES = ("source.spm.model", "target.spm.model")


@dataclass(frozen=True)
class Written:
    """What was exported.

    Args:
        output: the folder.
        size: of its files, in bytes.
        languages: source and target.
        sentencepiece: whether the SentencePiece models are in it.
    """

    output: str
    size: int
    languages: tuple[str, str]
    sentencepiece: bool


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
    pair, vocabularies = _vocabularies(content, shape, Path(data))
    if sentencepiece is None:
        pieces = find_models(Path(data), pair, vocabularies)
    else:
        pieces = given_models(sentencepiece, vocabularies)
    _check_scales(content["model"], quantization)
    made = _provenance(found, checkpoint, quantization)
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


def _vocabularies(
    checkpoint: Mapping[str, Any], shape: Shape, data: Path
) -> tuple[tuple[str, str], tuple[list[str], list[str]]]:
    """The languages of source and target, and their tokens, as many as the tables have rows."""
    if not data.is_dir():
        raise ValueError(f"--data {data} is not a folder.")
    pair = languages_of(data, task_options(checkpoint).values)
    vocabularies = _symbols(data, pair[0]), _symbols(data, pair[1])
    for stack, tokens in zip((shape.encoder, shape.decoder), vocabularies, strict=True):
        if stack.tokens != len(tokens):
            raise ValueError(
                f"The dictionary in --data {data} has {len(tokens)} tokens and the {stack.name}'s "
                f"table {stack.tokens}: give the folder that this model was trained on."
            )
    return pair, vocabularies


def _check_scales(state: Mapping[str, Tensor], quantization: str) -> None:
    if quantization != "int16":  # whose one scale for a matrix divides by the largest weight
        return
    for name, value in state.items():
        if value.dim() == 2 and not SHADOW.search(name) and not value.any():
            raise ValueError(
                f"--quantization int16 cannot hold {name}, of which every weight is zero; "
                "take int8, which has a scale for each row."
            )


def _provenance(found: Read, checkpoint: str, quantization: str) -> dict[str, Any]:
    """What made the folder, for its config.json."""
    content = found.content
    made: dict[str, Any] = {"version": __version__, "checkpoint": Path(checkpoint).name}
    record = read_record(content, checkpoint)
    if record is not None:
        made["pruned"] = record.recipe.signature()
        if record.masks is not None:
            made["sparsity"], made["digest"] = record.masks.sparsity(), record.masks.digest()
    *before, last = export_steps(content, checkpoint, "ctranslate2", half=False)
    steps = [*before, replace(last, facts={**last.facts, "quantization": quantization})]
    made["parameters"] = parameter_count(content["model"])
    made["nonzero"] = nonzero_count(content["model"])
    made["quantization"] = quantization
    made["steps"] = [step.pack() for step in steps]
    return {**made, **_work(found, checkpoint)}


def _work(found: Read, checkpoint: str) -> dict[str, Any]:
    """The multiply-adds for a source and a target token, as rows of results have them."""
    try:
        counts = count(opened_of(checkpoint, found.content, found.layout))
    except ValueError:  # nothing of it can be pruned
        return {}
    pair = [counts.dense.pair, counts.sparse.pair]
    return {"multiply_adds": pair, "flop_sparsity": counts.work_sparsity}


def _symbols(data: Path, language: str) -> list[str]:
    """The tokens of a language in the order of their numbers.

    Raises ValueError where the file is missing, is no dictionary, or has a token twice.
    """
    path = data / f"dict.{language}.txt"
    tokens = list(read_dictionary(path).tokens)
    if len(set(tokens)) < len(tokens):
        twice = next(token for number, token in enumerate(tokens) if token in tokens[:number])
        raise ValueError(f"{path} has {twice!r} twice, which CTranslate2 cannot tell apart.")
    return tokens


def find_models(data: Path, languages: Sequence[str], symbols: Sequence[list[str]]) -> list[Path]:
    """The SentencePiece models of source and target in a data folder; empty where it has none.

    One model is for both languages; of several, those called ``NAME.LANG.model``.
    """
    models = sorted(data.glob("*.model"))
    of = [[m for m in models if language in m.name.split(".")] for language in languages]
    if len(models) == 1:
        pair = models * 2
    elif all(len(found) == 1 for found in of):
        pair = [found[0] for found in of]
    else:
        return []
    return pair if all(_misfit(m, s) is None for m, s in zip(pair, symbols, strict=True)) else []


def given_models(names: Sequence[str], symbols: Sequence[list[str]]) -> list[Path]:
    """The models of source and target that the user named, one for both or two.

    Raises ValueError where one cannot be read or has other pieces than its dictionary.
    """
    if len(names) > 2:
        raise ValueError(f"--sentencepiece takes one model or two, not {len(names)}.")
    pair = [Path(name) for name in names] * (3 - len(names))
    for path, tokens in zip(pair, symbols, strict=True):
        why = _misfit(path, tokens)
        if why is not None:
            raise ValueError(f"--sentencepiece {path} {why}.")
    return pair


def _misfit(model: Path, tokens: list[str]) -> str | None:
    """Why a model is not the one that a dictionary was made with, or None."""
    from sentencepiece import SentencePieceProcessor

    try:
        pieces = SentencePieceProcessor(model_file=str(model))
    except (OSError, RuntimeError):
        return "is no readable SentencePiece model"
    own = {pieces.id_to_piece(number) for number in range(pieces.get_piece_size())}
    words = [token for token in tokens[4:] if not token.startswith("madeupword")]
    # a few more are no fault: tags that were added, characters of the test set
    if sum(word in own for word in words) < 0.5 * len(words):
        return "does not fit: most of the dictionary's tokens are no pieces of it"
    return None
