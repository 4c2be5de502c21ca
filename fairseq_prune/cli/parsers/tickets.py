"""The words and flags of ``fairseq-prune tickets``."""

from argparse import ArgumentParser

from fairseq_prune.checkpoints import REWINDS
from fairseq_prune.cli.parsers._shared import add_prune_flags

# of --controls
TICKET_CONTROLS = {
    "reinit": "the last mask on a fresh model of another seed, its data in that seed's order",
    "random-ticket": "the last mask shuffled within each tensor, on the rewound weights",
}
HELP = "find lottery tickets: train, prune, rewind, train again, in rounds"
DESCRIPTION = """
Trains with stock fairseq-train, prunes what came out, takes the weights that are left back to
where they were after --rewind-to updates, and trains again under the mask; each round removes the
same share of what is left, until --prune-sparsity (iterative magnitude pruning, Frankle and Carbin
2019; rewinding, Frankle et al. 2020). The optimizer, the schedule and the order of the data go back
too. With --rewind learning-rate the weights and the optimizer's moments stay as they were trained
and only the schedule and the data go back (Renda et al. 2020). --rounds 1 is the one-shot ticket.

OUTPUT/round-0 is the dense training, OUTPUT/round-N the last ticket; rewind.pt is the state that
is rewound to, and tickets.jsonl has a line for each round, with the digest that proves that the
survivors are those of rewind.pt. The same command goes on where it was cut.
"""
EXAMPLES = """
examples:
  fairseq-prune tickets --output runs/tickets --prune-sparsity 0.8 --rounds 5 --rewind-to 200 \\
      -- data-bin --arch transformer --max-update 2000 --seed 1 ...
  fairseq-prune tickets --output runs/oneshot --rounds 1 --rewind-to 0 \\
      --controls reinit,random-ticket -- data-bin --arch lstm --max-epoch 10 ...
"""


def add(parser: ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument("--output", metavar="DIR", required=True, help="folder for all rounds")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default 5")
    parser.add_argument(
        "--rewind-to",
        type=int,
        required=True,
        metavar="K",
        help="update to go back to; 0 is the very beginning, which fails for large models",
    )
    parser.add_argument(
        "--rewind",
        default="weights",
        metavar="WHAT",
        help=", ".join(f"{name} ({what})" for name, what in REWINDS.items()) + "; default weights",
    )
    parser.add_argument(
        "--controls",
        default="",
        metavar="NAMES",
        help="after the last round, too: "
        + ", ".join(f"{name} ({what})" for name, what in TICKET_CONTROLS.items()),
    )
    parser.add_argument(
        "--control-seed", type=int, metavar="N", help="of the controls (default: --seed plus 1)"
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON at the end")
    add_prune_flags(parser)
    parser.add_argument(
        "command", nargs="*", metavar="-- DATA ...", help="the command line of fairseq-train"
    )
