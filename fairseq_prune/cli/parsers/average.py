"""The words and flags of ``fairseq-prune average``."""

from argparse import ArgumentParser

from fairseq_prune.checkpoints import EPOCH, UPDATE

HELP = "average the models of several checkpoints, pruned ones included"
DESCRIPTION = """
Averages the checkpoints that are given, or takes them out of a run's folder: its newest by epoch
or by update, or its best, as fairseq's scripts/average_checkpoints.py does; it says which.

Writes the mean of the checkpoints' models, summed in float64, in the dtype they have. The
configuration and everything else is taken from the last of them, the newest; the optimizer's state
and the EMA are left out, since they belong to one checkpoint and not to the mean. Pruned
checkpoints must agree on what is pruned, or the last one must have pruned all that the others
have, as the latest of a gradual run has; its masks are applied then.
"""
EXAMPLES = """
examples:
  fairseq-prune average checkpoint8.pt checkpoint9.pt checkpoint10.pt --output average.pt
  fairseq-prune average checkpoints --newest 5 --output average.pt
      the last five epochs; with --up-to 40, epochs 36 to 40
  fairseq-prune average checkpoints --newest 10 --by update --output average.pt
      the last ten of --save-interval-updates
  fairseq-prune average checkpoints --best 5 --output average.pt
      the best five of --keep-best-checkpoints, by the score in their names
"""


def add(parser: ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument(
        "checkpoints",
        metavar="CHECKPOINT",
        nargs="+",
        help="the checkpoints, the latest one last; with --newest or --best, the folder of a run",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--newest",
        metavar="N",
        type=int,
        help="take the newest N of the folder (the script's --num-epoch-checkpoints and "
        "--num-update-checkpoints)",
    )
    which.add_argument(
        "--best",
        metavar="N",
        type=int,
        help="take the best N of the folder's checkpoint.best_METRIC_SCORE.pt; whether a lower or "
        "a higher score is better is in the files (--num-best-checkpoints)",
    )
    parser.add_argument(
        "--by",
        choices=(EPOCH, UPDATE),
        help="with --newest: checkpointN.pt of epochs (the default), or checkpoint_EPOCH_N.pt of "
        "updates",
    )
    parser.add_argument(
        "--up-to",
        metavar="N",
        type=int,
        help="with --newest: the last epoch, or update, that counts (--checkpoint-upper-bound)",
    )
    parser.add_argument("--output", metavar="OUT", required=True, help="where to write the mean")
    parser.add_argument("--force", action="store_true", help="replace OUT if it exists")
    parser.add_argument("--json", action="store_true", help="print one line of JSON, no text")
