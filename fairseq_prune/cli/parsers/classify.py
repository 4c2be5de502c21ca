"""The words and flags of ``fairseq-prune classify``."""

from argparse import ArgumentParser

from fairseq_prune.cli.parsers._shared import add_overrides, add_results

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
    add_results(parser)
