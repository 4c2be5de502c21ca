"""The words and flags of ``fairseq-prune inspect``."""

from argparse import ArgumentParser

HELP = "show what is pruned in a checkpoint, by weight class"
DESCRIPTION = """
Prints the weight classes of a checkpoint with their weights, how many are removed and kept, the
largest magnitude removed and the smallest kept; then the masks' digest, the recipe, and the
command and version that made the file. A checkpoint that is not pruned is shown with its classes
too. Of a checkpoint pruned 2:4 it says which tensors have a shape and a use that the
semi-structured kernels of GPUs take.
"""
EXAMPLES = """
examples:
  fairseq-prune inspect checkpoint_best.pt
  fairseq-prune inspect dense.pt --prune-classes component
  fairseq-prune inspect pruned.pt --json | python -m json.tool
"""


def add(parser: ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="the checkpoint to look at")
    parser.add_argument(
        "--prune-classes",
        metavar="CLASSES",
        help="weight classes to group by, as for apply (default: those the file was pruned with)",
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON, no table")
