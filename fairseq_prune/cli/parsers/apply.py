"""The words and flags of ``fairseq-prune apply``."""

from argparse import ArgumentParser

from fairseq_prune.cli.parsers._shared import add_opening, add_prune_flags

HELP = "prune a trained checkpoint, without training"
DESCRIPTION = """
Prunes a trained fairseq checkpoint at once, exactly as training would before its first update
with the same flags. The pruned weights become zeros in the model and in its average (EMA); the
masks go into the file, so that training with --user-dir fairseq_prune goes on from there and
holds them. Everything else stays as it is, except the optimizer's state, which is left out: a
pruned model starts a new optimisation. Masks that the checkpoint has already are kept; they only
shrink. Plain fairseq opens the result without this package.
"""
EXAMPLES = """
examples:
  fairseq-prune apply dense.pt --prune-scheme class-blind --dry-run
      shows what 80% would remove, by weight class, and writes nothing
  fairseq-prune apply dense.pt --output pruned.pt --prune-scheme class-distribution \\
      --prune-sparsity 0.6
  fairseq-prune apply dense.pt --output pruned.pt --prune-scheme class-uniform \\
      --prune-exclude source-embedding,target-embedding
  fairseq-prune apply dense.pt --output pruned.pt --prune-scheme class-blind \\
      --prune-saliency snip --data data-bin/iwslt15.tokenized.en-vi
  fairseq-prune apply other_seed.pt --output ticket.pt --prune-mask-from pruned.pt
"""


def add(parser: ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="the checkpoint to prune")
    parser.add_argument("--output", metavar="OUT", help="where to write the pruned checkpoint")
    parser.add_argument(
        "--data",
        metavar="DATA",
        help="binarised data, for a saliency that scores on data or on the network; others do not "
        "read them",
    )
    add_opening(parser)
    parser.add_argument("--force", action="store_true", help="replace OUT if it exists")
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be removed, write nothing"
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON, no table")
    add_prune_flags(parser)
