"""The words and flags of ``fairseq-prune retrain``."""

from argparse import ArgumentParser

from fairseq_prune.cli.parsers._shared import add_prune_flags

HELP = "prune a trained checkpoint and train it further, all else as it was trained"
DESCRIPTION = """
Prunes a trained model and trains what is left, with fairseq-train. Architecture, task, loss,
batches, optimizer and all other settings come from the checkpoint; the learning rate is half of
what it was and the training a third as long (its schedule, warm-up included, too), as in See et al.
(2016). Flags of fairseq-train that are given stand instead. The fairseq-train command is printed
before it starts, to be changed and used by itself.

A checkpoint that is pruned already (by apply, say) is trained under its masks; one that was shrunk
as it is. --dense trains a dense model on for as long, the control for what retraining gains.

The same command goes on where it was cut. What fairseq says is in OUTPUT/train.log.
"""
EXAMPLES = """
examples:
  fairseq-prune retrain dense.pt --data data-bin --prune-scheme class-distribution
      80%, once, before the first update; writes dense-class-distribution-80/checkpoint_best.pt
  fairseq-prune retrain dense.pt --data data-bin --prune-scheme class-blind --prune-sparsity 0.9 \\
      --prune-schedule gradual --prune-end 2000 --epochs 8 --lr 0.0005 --output runs/gradual
  fairseq-prune retrain pruned.pt --data data-bin
  fairseq-prune retrain dense.pt --data data-bin --dense
"""


def add(parser: ArgumentParser) -> None:
    """Add this subcommand's arguments; all others are fairseq-train's."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="the model to begin with")
    parser.add_argument(
        "--data", metavar="DATA", required=True, help="binarised data, as for fairseq-train"
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        help="folder for checkpoints and log (default: beside CHECKPOINT, named after it and the "
        "prune flags)",
    )
    parser.add_argument(
        "--epochs",
        type=int,
        metavar="N",
        help="how long (default: a third of the checkpoint's --max-epoch and --max-update, or of "
        "what it has behind it)",
    )
    parser.add_argument(
        "--dense", action="store_true", help="prune nothing: train on, as a control"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print the fairseq-train command, and stop"
    )
    add_prune_flags(parser, timed=True)
    parser.set_defaults(passes_on="fairseq-train")
