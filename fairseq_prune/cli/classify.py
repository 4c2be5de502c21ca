"""``fairseq-prune classify``: the accuracy of classifiers, many in one process."""

import logging
from argparse import ArgumentParser, Namespace
from dataclasses import fields

from fairseq_prune.cli import _output, _results
from fairseq_prune.cli._task import add_overrides
from fairseq_prune.files.table import Table, as_text, number

HELP = "the accuracy of classifiers (sentence_prediction), many in one process"
DESCRIPTION = """
Runs checkpoints of fairseq's task sentence_prediction over a subset, by the criterion that they
were trained with: accuracy in per cent and loss in nats an example, as fairseq-validate gives
them (it logs the loss in bits). Sparsity is the fraction of weights removed; FLOP sparsity, for the
architecture embedding_bag, the fraction of the multiply-adds of an average text of the subset that
zeros would save: a row of the embedding counts as often as its word occurs, the head once a text.

With --output, each checkpoint becomes one line of JSON as soon as it is done, and a checkpoint
that is in it already is not run again.
"""
EXAMPLES = """
examples:
  fairseq-prune classify dense.pt pruned.pt --data DATA
  fairseq-prune classify runs/*/checkpoint_best.pt --data DATA --tag stage=retrained \\
      --output accuracy.jsonl
"""


def add(parser: ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument("checkpoints", metavar="CHECKPOINT", nargs="+", help="checkpoints to run")
    parser.add_argument("--data", required=True, metavar="DATA", help="with input0/ and label/")
    parser.add_argument("--subset", default="test", help="subset to classify (default test)")
    add_overrides(parser)
    parser.add_argument("--cpu", action="store_true", help="leave a GPU alone")
    _results.add_flags(parser)


def run(arguments: Namespace) -> int:
    """Classify and print; returns the exit code."""
    from fairseq_prune.evaluation.classify import Settings, classify

    logging.basicConfig(level=logging.WARNING)  # fairseq would log between the results
    settings = Settings(**{f.name: getattr(arguments, f.name) for f in fields(Settings)})
    _results.check(arguments.output)
    rows: Table = []
    count = len(arguments.checkpoints)
    tags = _results.tags_of(arguments.tag, len(arguments.checkpoints))
    found = classify(arguments.checkpoints, settings, tags, arguments.output)
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
