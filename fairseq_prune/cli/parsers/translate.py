"""The words and flags of ``fairseq-prune translate``."""

from argparse import ArgumentParser

from fairseq_prune.cli.parsers._shared import add_overrides
from fairseq_prune.cli.parsers.evaluate import add_refinement, add_search

HELP = "translate lines of text with a checkpoint or an exported folder"
DESCRIPTION = """
Translates the lines of stdin, or of --input, to stdout or --output: text in, plain text out, as
many lines as there were, in their order; an empty line stays empty. At a terminal each line is
answered when it is typed; Ctrl-D ends it.

MODEL is a folder that export --format ctranslate2 or torch-int8 wrote, which has all that is needed
in it; or a checkpoint, an ensemble (colons between its files) or a compact file, for which --data
gives the dictionaries. Text is cut into subwords by the SentencePiece model in the folder or the
data, unless flags say how else. Translations are those of fairseq-interactive with the same flags.
"""
EXAMPLES = """
examples:
  echo "Guten Morgen" | fairseq-prune translate exported
  fairseq-prune translate exported < text.de > text.en
  fairseq-prune translate exported --input text.de --output text.en --beam 4 --batch-size 64
  fairseq-prune translate checkpoint_best.pt --data data-bin < text.de
  fairseq-prune translate checkpoint_best.pt --data data-bin --tokenizer moses \\
      --bpe-codes codes < text.de
"""


def add(parser: ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument("model", metavar="MODEL", help="an exported folder, or a checkpoint")
    parser.add_argument(
        "--data",
        default="",
        metavar="DATA",
        help="the folder that the model was trained on: its dictionaries; a folder has them",
    )
    parser.add_argument("--input", metavar="FILE", help="lines to translate (default: stdin)")
    parser.add_argument(
        "--output", metavar="FILE", help="written when all is translated (default: stdout)"
    )
    parser.add_argument("--force", action="store_true", help="replace the file of --output")
    _add_segmentation(parser)
    add_search(parser)
    parser.add_argument(
        "--batch-size", type=int, metavar="N", help="sentences at a time (default 32)"
    )
    parser.add_argument(
        "-s", "--source-lang", help="source language (default: the model's, or the data's)"
    )
    parser.add_argument("-t", "--target-lang", help="target language, likewise")
    add_refinement(parser)
    add_overrides(parser)
    parser.add_argument("--cpu", action="store_true", help="leave a GPU alone")


def _add_segmentation(parser: ArgumentParser) -> None:
    """Add the arguments that say how text becomes tokens."""
    parser.add_argument(
        "--sentencepiece",
        metavar="MODEL",
        nargs="+",
        help="the SentencePiece model that cuts up the text, or those of source and target "
        "(default: that in the folder or in DATA)",
    )
    parser.add_argument(
        "--bpe-codes", metavar="FILE", help="cut words up by these codes of subword-nmt"
    )
    parser.add_argument(
        "--tokenizer",
        metavar="KIND",
        help="make words of the text before, and text of words after: moses, nltk or space, as for "
        "fairseq-interactive",
    )
    parser.add_argument(
        "--tokens", action="store_true", help="the lines are tokens, and so are translations"
    )
