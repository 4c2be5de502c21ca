"""The words and flags of ``fairseq-prune export``."""

from argparse import ArgumentParser, _ArgumentGroup

from fairseq_prune.exports import FORMATS, QUANTIZATIONS, SHORTLIST

HELP = "write a model as a small file, or for another program"
DESCRIPTION = """
Writes the model of a checkpoint, or of a compact file, in another format: without the optimizer's
state, averages (EMA), masks and the record of the pruning, of which a note of recipe and sparsity
remains. Keep the checkpoint itself to train on, since a run that starts from an export holds no
masks. --half stores floats as float16, and refuses a model with values beyond 65504.

ctranslate2 is a folder for CTranslate2, which translates on CPU and GPU without fairseq or torch,
faster, and with 8-bit weights if asked to. fairseq's Transformers only, pruned or shrunk ones
included; zeros gain nothing there, fewer feed-forward units and heads do.

torch-int8 is a folder with an LSTM (lstm, see2016_lstm, shrunk_lstm) in 8 bits, which fairseq's
beam search decodes with torch's integer kernels on the CPU: `fairseq-prune evaluate`, `bench` and
`translate` take it. Matrices of the decoder that lack most of their 1 x 4 blocks
(--prune-structure block:1x4) are computed without these, if DATA has training sentences to measure
the ranges of outputs on.

For both, DATA gives the dictionaries; SentencePiece models in it are copied, so that the folder is
all one needs. With --shortlist the softmax of a sentence is over the words that may translate its
words, learnt from the binarised training data in DATA (IBM model 1): faster where the target has
many words.
"""
EXAMPLES = """
examples:
  fairseq-prune export pruned.pt --format compact --output model.fsz
  fairseq-prune export model.fsz --format checkpoint --output model.pt
  fairseq-generate DATA --path model.pt
  fairseq-prune export pruned.pt --format ctranslate2 --data DATA --output folder
  fairseq-prune export pruned.pt --format ctranslate2 --data DATA --output folder \\
      --quantization int8 --sentencepiece spm.model
  fairseq-prune export dense.pt --format ctranslate2 --data DATA --output folder \\
      --quantization int8 --shortlist
  fairseq-prune export lstm.pt --format torch-int8 --data DATA --output folder
"""


def add(parser: ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="the checkpoint or compact file")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        required=True,
        help="; ".join(f"{name}: {what}" for name, what in FORMATS.items()),
    )
    parser.add_argument("--output", metavar="OUT", required=True, help="where to write the model")
    parser.add_argument("--half", action="store_true", help="store floats as float16")
    parser.add_argument(
        "--force", action="store_true", help="replace OUT; a folder only if it is an export"
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON, no text")
    _add_folders(parser.add_argument_group("--format ctranslate2 and torch-int8"))


def _add_folders(parser: _ArgumentGroup) -> None:
    """Add the arguments that only these formats have."""
    parser.add_argument(
        "--data",
        metavar="DATA",
        help="the folder that the model was trained on: its dictionaries are read",
    )
    parser.add_argument(
        "--quantization",
        choices=QUANTIZATIONS,
        help=f"of the weights for ctranslate2 (default {QUANTIZATIONS[0]})",
    )
    parser.add_argument(
        "--sentencepiece",
        metavar="MODEL",
        nargs="+",
        help="the SentencePiece model, or those of source and target, to copy into the folder "
        "(default: those in DATA)",
    )
    parser.add_argument(
        "--shortlist",
        metavar="N",
        type=int,
        nargs="?",
        const=SHORTLIST,
        help="add a lexical shortlist: decode over the N likeliest translations of each source "
        "word and the N most frequent words, learnt from the training data in DATA (N: "
        f"{SHORTLIST} unless given)",
    )
