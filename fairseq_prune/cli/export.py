"""``fairseq-prune export``: a model in the format of another program."""

from argparse import ArgumentParser, Namespace
from dataclasses import asdict

from fairseq_prune.cli import _output
from fairseq_prune.exports import ctranslate

HELP = "write a model in the format of another program"
DESCRIPTION = """
Writes a model for another program to decode with.

ctranslate2: a folder for CTranslate2, which translates on CPU and GPU without fairseq or torch,
faster, and with 8-bit weights if asked to. fairseq's Transformers only, pruned or shrunk ones
included; zeros gain nothing there, fewer feed-forward units and heads do. DATA gives the
dictionaries; SentencePiece models in it are copied, so that the folder is all one needs.
"""
EXAMPLES = """
examples:
  fairseq-prune export pruned.pt --format ctranslate2 --data DATA --output folder
  fairseq-prune export pruned.pt --format ctranslate2 --data DATA --output folder \\
      --quantization int8 --sentencepiece spm.model
"""
FORMATS = {"ctranslate2": ctranslate}


def add(parser: ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="the checkpoint to export")
    parser.add_argument("--format", choices=sorted(FORMATS), required=True, help="for what")
    parser.add_argument("--output", metavar="OUT", required=True, help="where to write it")
    parser.add_argument("--force", action="store_true", help="replace OUT if it is an export")
    parser.add_argument("--json", action="store_true", help="print one line of JSON, no text")
    for name, module in FORMATS.items():
        module.add_arguments(parser.add_argument_group(f"--format {name}"))


def run(arguments: Namespace) -> int:
    """Export; returns the exit code."""
    written = FORMATS[arguments.format].run(arguments)
    if arguments.json:
        _output.print_json(asdict(written))
        return 0
    source, target = written.languages
    print(f"{written.output}: {_output.in_units(written.size)}, {source} to {target}")
    if not written.sentencepiece:
        print("no SentencePiece model was found: it takes and gives subwords; see --sentencepiece")
    return 0
