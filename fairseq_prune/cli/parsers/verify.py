"""The words and flags of ``fairseq-prune verify``."""

from argparse import ArgumentParser

HELP = "check that every pruned weight of a checkpoint is zero"
DESCRIPTION = """
Checks that every masked weight is exactly zero in the model (under each name of a tied tensor),
in its average (EMA) and in the optimizer's moments, that the number of removed weights is exactly
what the sparsity asks for, that the schedule has reached its end, and that the masks' digest fits.
Training a pruned checkpoint further
without --user-dir fairseq_prune drops the masks from the file; --masks-from compares the result
with a file that still has them.

Exit code: 0 all is well; 1 something is wrong, or the schedule unfinished, and is named; 2 a file
cannot be used.
"""
EXAMPLES = """
examples:
  fairseq-prune verify checkpoints/checkpoint*.pt
  fairseq-prune verify checkpoint_best.pt --expect 0.8
  fairseq-prune verify resumed.pt --masks-from pruned.pt
"""


def add(parser: ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument(
        "checkpoints", metavar="CHECKPOINT", nargs="+", help="the checkpoints to check"
    )
    parser.add_argument(
        "--masks-from", metavar="FILE", help="check against the masks of this checkpoint"
    )
    parser.add_argument(
        "--expect",
        metavar="S",
        type=float,
        help="the sparsity that each has to have, in [0, 1), of what its recipe counts (weights, "
        "tiles or units); default: the one that it was pruned for",
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON, no text")
