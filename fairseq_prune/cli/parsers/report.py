"""The words and flags of ``fairseq-prune report``."""

from argparse import ArgumentParser, ArgumentTypeError

HELP = "make tables, figures and a page of what was evaluated"
DESCRIPTION = """
Reads what fairseq-prune evaluate, study and sensitivity left in a folder, and leaves in another:
table.txt, table.md and table.csv (every number), the figures of each model as PNG, SVG and CSV, and
index.html, one page with all of it, which needs no network. Twelve figures, as far as there are
data: BLEU (or a classifier's accuracy) by scheme; pruned, retrained and sparse from the beginning;
what is removed of each class; perplexity by class, and against the largest magnitude removed;
validation loss; survivors by class; spread over seeds; sparsity by row; an animation of
pruning; and the score against theoretical speed-up and against compression, beside dense models of
other sizes. First of all stands an answer for each model: which scheme can remove how much without
a significant loss, with its interval, or why the data allow none. The page says at its end what is
missing, and what would give it.

What was retrained is tested against the dense model that was trained on for as long (the stage
longer of a study, or --tag stage=longer), where there is one for each seed.

A row is known by its recipe (or the file's digest), all tags, data and decoding; those that differ
in --tag seed=N alone share a place, the others stand apart. The stage comes from the checkpoint, or
from --tag stage=NAME (dense, longer, small, pruned, retrained, scratch, fresh or ticket), the
model's name from --tag model=NAME. Whatever is replaced, left out or in no figure is named, here
and on the page.
"""
EXAMPLES = """
examples:
  fairseq-prune report runs/multi30k
  fairseq-prune report a/results.jsonl b/results.jsonl --output report --title "Two models"
"""


FORMATS = ("pdf", "tex")


def _formats(text: str) -> tuple[str, ...]:
    found = tuple(text.split(","))
    for one in found:
        if one not in FORMATS:
            raise ArgumentTypeError(f"{one!r} is none of {', '.join(FORMATS)}")
    return found


def add(parser: ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument(
        "results", metavar="DIR", nargs="+", help="folders with results below, or results files"
    )
    parser.add_argument(
        "--output", metavar="OUT", help="folder of the report (default: report in the first DIR)"
    )
    parser.add_argument("--title", help="heading of the page (default: Pruning: and DIR's name)")
    parser.add_argument(
        "--format",
        type=_formats,
        default=(),
        metavar="pdf,tex",
        help="for papers: figures as PDF; table.tex, numbers.tex (booktabs) and figures.tex, too",
    )
    parser.add_argument(
        "--comet",
        metavar="MODEL",
        help="a model of COMET on this machine (model.ckpt): translations are scored by it too, "
        "with the program comet-score (pip install unbabel-comet, in an environment of its own)",
    )
    parser.add_argument(
        "--made-by",
        metavar="COMMAND",
        help="the command to show beside the figures (default: this one)",
    )
