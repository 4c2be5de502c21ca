"""The words and flags of ``fairseq-prune control``."""

from argparse import ArgumentParser

from fairseq_prune.checkpoints import CONTROLS
from fairseq_prune.cli.parsers._shared import add_opening

HELP = "give a dense model a mask with a pruned model's counts and nothing else of it"
DESCRIPTION = """
Writes the dense checkpoint under a mask that keeps as many weights as the pruned checkpoint's, but
not the same ones. What a method is worth shows when its model is retrained beside these (Frankle
et al. 2020): if shuffling inside each tensor costs nothing, only the counts mattered. Retrain the
result with --finetune-from-model. The kind reinit keeps the masks and takes fresh weights instead.
"""
EXAMPLES = """
examples:
  fairseq-prune control pruned.pt --weights dense.pt --output shuffled.pt --kind shuffle
  fairseq-prune control pruned.pt --weights dense.pt --output inverted.pt --kind invert
  fairseq-prune control pruned.pt --data data-bin --output fresh.pt --kind reinit --seed 2
"""


def add(parser: ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument("checkpoint", metavar="PRUNED", help="the checkpoint whose counts to keep")
    parser.add_argument("--weights", metavar="DENSE", help="the checkpoint it was pruned from")
    parser.add_argument(
        "--data", metavar="DATA", help="reinit: binarised data, for its dictionaries"
    )
    parser.add_argument("--output", metavar="OUT", required=True, help="where to write")
    parser.add_argument(
        "--kind",
        required=True,
        metavar="KIND",
        help=", ".join(f"{name} ({what})" for name, what in CONTROLS.items()),
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="of random kinds and fresh weights (default 1)"
    )
    add_opening(parser)
    parser.add_argument("--force", action="store_true", help="replace OUT if it exists")
    parser.add_argument("--json", action="store_true", help="print one line of JSON, no text")
