"""``fairseq-prune classify``: the accuracy of classifiers, many in one process."""

from argparse import Namespace
from dataclasses import fields

from fairseq_prune.cli import _output, _results
from fairseq_prune.cli._progress import Progress
from fairseq_prune.files.table import Table, as_text, number


def run(arguments: Namespace) -> int:
    """Classify and print; returns the exit code."""
    from fairseq_prune.evaluation.classify import ClassifySettings, classify

    settings = ClassifySettings(
        **{f.name: getattr(arguments, f.name) for f in fields(ClassifySettings)}
    )
    _results.check(arguments.output)
    rows: Table = []
    count = len(arguments.checkpoints)
    tags = _results.tags_of(arguments.tag, len(arguments.checkpoints))
    with Progress("starting fairseq") as progress:
        found = classify(arguments.checkpoints, settings, tags, arguments.output, progress.say)
        for done, (row, known) in enumerate(found, 1):
            if arguments.json:
                _output.print_json(row)
                continue
            path = arguments.checkpoints[done - 1]
            if count > 1:
                again = " (known)" if known else ""
                _output.say(f"checkpoint {done} of {count}: {path}{again}")
            words = [path, row["scheme"] or "dense", row["saliency"] or ""]
            shares = [number(row[name], 4) for name in ("sparsity", "flop_sparsity", "loss")]
            rows.append([*words, *shares, number(row["accuracy"], 2)])
    if not arguments.json:
        head = ["checkpoint", "scheme", "saliency", "sparsity", "FLOP sparsity", "loss", "accuracy"]
        print(as_text([head, *rows]), end="")
        if arguments.output:
            print(f"results: {arguments.output}")
    return 0
