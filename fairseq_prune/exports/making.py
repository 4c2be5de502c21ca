"""What goes with an exported model: how it came to be, and the tokens of its dictionaries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fairseq_prune import __version__
from fairseq_prune.checkpoints.checkpoint import opened_of
from fairseq_prune.checkpoints.counts import count
from fairseq_prune.checkpoints.kept_layers import without_layers
from fairseq_prune.checkpoints.record import read_record
from fairseq_prune.checkpoints.steps import export_steps
from fairseq_prune.data.dictionary import languages_of, read_dictionary
from fairseq_prune.network.options import task_options
from fairseq_prune.network.ties import nonzero_count, parameter_count
from fairseq_prune.tasks.opening import Read


@dataclass(frozen=True)
class Written:
    """What was exported.

    Args:
        output: the folder.
        size: of its files, in bytes.
        languages: source and target.
        sentencepiece: whether the SentencePiece models are in it.
        shortlist: what config.json says of the lexical shortlist; None without one.
        zeros: what becomes of its zeros, one sentence; None where there is nothing to say.
    """

    output: str
    size: int
    languages: tuple[str, str]
    sentencepiece: bool
    shortlist: Mapping[str, Any] | None = None
    zeros: str | None = None


def made_of(
    found: Read, checkpoint: str, form: str, quantization: str, shortlist: int | None = None
) -> dict[str, Any]:
    """What made a folder, for its config.json.

    Args:
        form: the format that is written.
        quantization: of the weights.
        shortlist: the candidates a word of a lexical shortlist; None without one.
    """
    content = found.content
    made: dict[str, Any] = {"version": __version__, "checkpoint": Path(checkpoint).name}
    record = read_record(content, checkpoint)
    if record is not None:
        made["pruned"] = record.recipe.signature()
        if record.masks is not None:
            made["sparsity"], made["digest"] = record.masks.sparsity(), record.masks.digest()
    *before, last = export_steps(content, checkpoint, form, half=False)
    facts = {**last.facts, "quantization": quantization}
    facts |= {} if shortlist is None else {"shortlist": shortlist}
    steps = [*before, replace(last, facts=facts)]
    left = without_layers(content)["model"]
    made["parameters"], made["nonzero"] = parameter_count(left), nonzero_count(left)
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


def vocabularies_of(
    checkpoint: Mapping[str, Any], rows: Sequence[int], data: Path
) -> tuple[tuple[str, str], tuple[list[str], list[str]]]:
    """The languages of source and target, and their tokens.

    Args:
        rows: of the tables of embeddings of encoder and decoder.
        data: the folder with ``dict.LANG.txt`` of both.

    Raises ValueError where the dictionaries have another number of tokens, or one twice.
    """
    if not data.is_dir():
        raise ValueError(f"--data {data} is not a folder.")
    pair = languages_of(data, task_options(checkpoint).values)
    vocabularies = _symbols(data, pair[0]), _symbols(data, pair[1])
    for side, size, tokens in zip(("encoder", "decoder"), rows, vocabularies, strict=True):
        if size != len(tokens):
            raise ValueError(
                f"The dictionary in --data {data} has {len(tokens)} tokens and the {side}'s "
                f"table {size}: give the folder that this model was trained on."
            )
    return pair, vocabularies


def _symbols(data: Path, language: str) -> list[str]:
    """The tokens of a language in the order of their numbers.

    Raises ValueError where the file is missing, is no dictionary, or has a token twice.
    """
    path = data / f"dict.{language}.txt"
    tokens = list(read_dictionary(path).tokens)
    if len(set(tokens)) < len(tokens):
        twice = next(token for number, token in enumerate(tokens) if token in tokens[:number])
        raise ValueError(f"{path} has {twice!r} twice, and they cannot be told apart.")
    return tokens
