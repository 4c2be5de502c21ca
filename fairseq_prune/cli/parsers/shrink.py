"""The words and flags of ``fairseq-prune shrink``."""

from argparse import ArgumentParser

HELP = "cut pruned units out of a checkpoint: fewer weights, the same translations"
DESCRIPTION = """
Cuts out the units that have no effect: neurons of feed-forward layers, attention heads, LSTM
cells and embedding columns whose readers are all zero, as --prune-structure ffn, heads, hidden
and embedding leave them. The network computes the same. Where its layers are left equally wide,
as after --prune-scheme class-uniform, the result is a plain fairseq checkpoint with other widths
in its settings, which fairseq opens without this package. Where they are not, or heads are gone
(fairseq has no setting for that), it is one of our architectures, shrunk_FAMILY, which there are
for the families transformer, transformer_align, transformer_lm, bart and lstm: give --user-dir
fairseq_prune to every command that opens it. The result can be trained further; the optimizer's
state is left out.
"""
EXAMPLES = """
examples:
  fairseq-prune apply dense.pt --output pruned.pt --prune-scheme class-uniform \\
      --prune-structure ffn --prune-sparsity 0.75
  fairseq-prune shrink pruned.pt --output small.pt
  fairseq-prune shrink pruned.pt --output small.pt --uniform
      opens in stock fairseq whatever the scheme was: the widest layer decides
"""


def add(parser: ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a checkpoint pruned by unit")
    parser.add_argument("--output", metavar="OUT", help="where to write the smaller checkpoint")
    parser.add_argument(
        "--uniform",
        action="store_true",
        help="leave so many units in place, heads too, that stock fairseq can open the result",
    )
    parser.add_argument(
        "--anyway",
        action="store_true",
        help="cut out the few whole units that pruning by weight happens to leave without effect",
    )
    parser.add_argument("--force", action="store_true", help="replace OUT if it exists")
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be cut out, write nothing"
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON, no table")
