"""The words and flags of ``fairseq-prune sensitivity``."""

from argparse import ArgumentParser

from fairseq_prune.cli.parsers._shared import add_prune_flags
from fairseq_prune.cli.parsers.evaluate import add_decoding
from fairseq_prune.sensitivity import SPARSITIES

HELP = "perplexity (and BLEU) when one weight class is pruned at a time"
DESCRIPTION = """
Prunes one weight class of a dense model, leaves all others dense, and gives the change of
perplexity (2 to the bits a token, as fairseq logs it) and, with --bleu, of BLEU; then the next
class. By default a class loses what --prune-scheme takes from it when it prunes the whole model
(class-blind, 0.9), as in See et al. 2016, figure 4; with --each, the given fractions of itself.

The model runs under the task that it was trained with, as in evaluate: perplexity is of all its
language pairs, or of the one that -s and -t name; --bleu is of one. Other tasks than translation
have perplexity only.

--propose TARGET turns the curves of --each into a sparsity for each class that make TARGET
together, where the perplexity is predicted to rise least: the cheapest weights first, on the
lower convex hull of each class's curve, costs in bits a token added up over classes.
--at-most BITS goes the other way: the most sparsity of which no more is predicted than that rise
of log-perplexity, whatever --bleu says: 0.5 bits a token are a perplexity 1.41 times as high, 1 bit
is twice as high. That is before retraining, and is no number of BLEU points.
--prune-scheme given --prune-given FILE prunes by them, here, in apply and in fairseq-train.

With --output, the file is written after each class, and the same command goes on where it was cut.
"""
EXAMPLES = """
examples:
  fairseq-prune sensitivity dense.pt --data data-bin --output sensitivity.json
  fairseq-prune sensitivity dense.pt --data data-bin --each 0.5,0.8,0.9 --prune-classes component
  fairseq-prune sensitivity dense.pt --data data-bin --output curves.json --propose 0.8 \\
      --proposal given.txt
  fairseq-prune sensitivity dense.pt --data data-bin --output curves.json --at-most 0.5
  fairseq-prune apply dense.pt --output pruned.pt --prune-scheme given --prune-given given.txt
"""


def add(parser: ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a dense checkpoint")
    parser.add_argument("--data", required=True, metavar="BIN", help="made by fairseq-preprocess")
    parser.add_argument(
        "--each",
        metavar="SPARSITY,...",
        help="prune each class to these sparsities of its own, rather than by a scheme",
    )
    _add_proposal(parser)
    parser.add_argument(
        "--subset", default="valid", help="what to take perplexity and BLEU of (default valid)"
    )
    parser.add_argument("--bleu", action="store_true", help="translate and score too (slow)")
    add_decoding(parser)
    parser.add_argument(
        "--tag",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="say this too in the result, e.g. model=lstm; may be repeated",
    )
    parser.add_argument("--output", metavar="FILE.json", help="write the result there")
    parser.add_argument(
        "--force", action="store_true", help="begin anew if the file is of other settings"
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON, no table")
    add_prune_flags(parser)


def _add_proposal(parser: ArgumentParser) -> None:
    """Add the arguments that ask for a sparsity of each class."""
    parser.add_argument(
        "--propose",
        type=float,
        metavar="TARGET",
        help="find class sparsities for this overall sparsity "
        f"(default --each: {','.join(map(str, SPARSITIES))})",
    )
    parser.add_argument(
        "--at-most",
        type=float,
        metavar="BITS",
        help="find the most sparsity that is predicted to cost no more than so many bits a token, "
        "the rise of log2 perplexity (0.5: perplexity x 1.41), likewise",
    )
    parser.add_argument("--proposal", metavar="FILE", help="write them there, for --prune-given")
