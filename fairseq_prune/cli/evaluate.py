"""``fairseq-prune evaluate``: decode and score checkpoints, many in one process."""

from argparse import Namespace
from dataclasses import fields
from typing import TYPE_CHECKING

from fairseq_prune.cli import _output, _results
from fairseq_prune.cli._progress import Progress
from fairseq_prune.evaluation.settings import Settings

if TYPE_CHECKING:
    from fairseq_prune.evaluation.results import Row


def run(arguments: Namespace) -> int:
    """Evaluate and print; returns the exit code."""
    from fairseq_prune.evaluation.evaluate import check, evaluate
    from fairseq_prune.evaluation.results import signatures

    given = {f.name: getattr(arguments, f.name) for f in fields(Settings)}
    given["valid_subset"] = given["valid_subset"] or None
    settings = Settings(**given)
    tasks = check(arguments.checkpoints, settings)
    _results.check(arguments.output)
    for doubt in (*settings.doubts(), *settings.unused(tasks)):
        _output.warn(doubt)
    count = len(arguments.checkpoints)
    tags = _results.tags_of(arguments.tag, count)
    with Progress("starting fairseq") as progress:
        rows = evaluate(arguments.checkpoints, settings, tags, arguments.output, progress.say)
        for number, (row, known) in enumerate(rows, 1):
            if arguments.json:
                _output.print_json(row)
                continue
            print(
                f"checkpoint {number} of {count}: {arguments.checkpoints[number - 1]}: "
                f"{scores(row, settings)}{unknown(row)}{'(known)' if known else ''}".rstrip()
                + f"\n  {left(row)}{cost(row)}",
                flush=True,
            )
    if not arguments.json:
        for name, signature in signatures(row) if row["bleu"] is not None else ():
            print(f"{name} {signature}")
        if arguments.output:
            print(f"results: {arguments.output}")
    return 0


def scores(row: "Row", settings: Settings) -> str:
    """The scores of a row; perplexities, and why there is no BLEU, where it has none."""
    subset = settings.gen_subset
    ppl = f"{subset} ppl {_ppl(row, subset)}"
    if row["bleu"] is not None:
        return (
            f"{bleus(row)}  chrF {row['chrf']:.2f}  {ppl}  "
            f"BP {row['brevity_penalty']:.3f}  ratio {row['length_ratio']:.3f}  "
        )
    valid = settings.valid_subset
    more = f"{valid} ppl {_ppl(row, valid)}  " if valid else ""
    return f"{ppl}  {more}no BLEU ({row['no_bleu']})  "


def _ppl(row: "Row", subset: str) -> str:
    value = row[f"{subset}_ppl"]
    return "-" if value is None else format(value, ".2f")


def left(row: "Row") -> str:
    """What is left of a model: parameters where some were cut out, sparsity where weights are 0."""
    parameters, before = row.get("parameters"), row.get("parameters_before")
    if parameters is None or (before is None and row["sparsity"]):
        text, of_all = f"sparsity {row['sparsity']:.4f}", row.get("sparsity_of_all")
        if of_all is None:
            return text
        others = row["sparsity_without_embeddings"]
        return (
            f"{text} of {row['prunable']:,} weights ({of_all:.2%} of all parameters, {others:.2%} "
            "without embeddings)"
        )
    text = f"parameters {parameters:,}"
    if before is not None:
        text += f" ({parameters / max(before, 1):.0%} of its source's {before:,})"
    made = ", ".join(row.get("made") or [])
    return f"{text}, {made}" if made else text


def cost(row: "Row") -> str:
    """What a model takes: bytes, time, memory; rows of earlier versions lack it."""
    if row.get("bytes") is None:
        return ""
    parts = [_output.in_units(row["bytes"])]
    if row.get("ms_per_sentence") is not None:
        parts.append(f"{row['ms_per_sentence']:.1f} ms a sentence")
    if row.get("memory_bytes") is not None:
        parts.append(f"{_output.in_units(row['memory_bytes'])} of memory")
    return f"; {', '.join(parts)} ({row.get('engine') or 'fairseq'})"


def unknown(row: "Row") -> str:
    """How many unknown words the translations of a row have, where they have any."""
    count = row.get("unknown_words")
    return f"unknown words {count} (no matches)  " if count else ""


def bleus(row: "Row") -> str:
    """The BLEU scores of a row of results, each by its name."""
    if row.get("tokenized_bleu") is None:
        return f"BLEU {row['bleu']:.2f}"
    text = f"BLEU {row['bleu']:.2f} (sacreBLEU)  tokenized BLEU {row['tokenized_bleu']:.2f}"
    split = row.get("tokenized_bleu_split")
    return text if split is None else f"{text} (compounds split {split:.2f})"
