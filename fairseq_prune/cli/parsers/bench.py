"""The words and flags of ``fairseq-prune bench``."""

from argparse import ArgumentParser

from fairseq_prune.cli.parsers._shared import add_task

ENGINES = ("fairseq", "fairseq-csr", "ctranslate2", "ctranslate2-int8")
HELP = "sizes, work, memory and speed of checkpoints and exports, in every form"
DESCRIPTION = """
Says of each model how many bytes it takes in every form, how many weights and multiply-adds it has,
zeros included and not, its peak of memory, how many target tokens a second come out of it and how
many milliseconds a sentence takes: in fairseq, in fairseq with its linear layers as sparse
matrices, and in CTranslate2. A model is a checkpoint, a compact file, or a folder that export
--format ctranslate2 wrote, which is measured as it is. All take turns, round after round, on one
thread unless told otherwise.

Speeds are compared in the same round: with the first model in fairseq, and with the model of
--against (the first, unless told otherwise) in the same engine; "no speed gain" stands where the
median is not faster, "not faster in every round" where it is but a round was not: measure again on
an idle machine. Bytes and memory are compared with those of --against in the same engine and form,
so that a small int8 stands against the dense int8: where --against is a checkpoint, it is exported
for CTranslate2 as the folders are. Memory is the peak that is resident in a process which
translates the sentences and does nothing else, programs and libraries included (VmHWM of Linux).

Engines that cannot take a model are left out, with the reason. Each model translates under the task
that it was trained with, one of several language pairs the one that -s and -t name; files with
colons between them are an ensemble, whose bytes, weights and multiply-adds are those of all.
"""
EXAMPLES = """
examples:
  fairseq-prune bench dense.pt pruned.pt small.pt --data data-bin
  fairseq-prune bench dense.pt small.pt --data data-bin --beams 5 --batches 1 --output bench
  fairseq-prune bench small-int8/ small.fsz --against dense.pt --data data-bin
"""


def add(parser: ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument(
        "checkpoints",
        metavar="CHECKPOINT",
        nargs="+",
        help="checkpoints, compact files and folders of CTranslate2; the first in fairseq is "
        "compared with; colons between the files of an ensemble",
    )
    parser.add_argument(
        "--against",
        metavar="MODEL",
        help="give speed, bytes and memory as ratios to this model in the same engine and form: "
        "one of those above, or a further one (default: the first)",
    )
    parser.add_argument("--data", required=True, metavar="BIN", help="made by fairseq-preprocess")
    parser.add_argument("--gen-subset", default="test", help="subset to translate (default test)")
    parser.add_argument(
        "--sentences", type=int, default=100, metavar="N", help="of it, the first N (default 100)"
    )
    parser.add_argument(
        "--beams", type=int, nargs="+", default=[1, 5], metavar="N", help="beam sizes (1 5)"
    )
    parser.add_argument(
        "--batches", type=int, nargs="+", default=[1, 8, 64], metavar="N", help="sentences (1 8 64)"
    )
    parser.add_argument(
        "--engines", nargs="+", choices=ENGINES, default=list(ENGINES), help="default: all"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often (default 3)")
    parser.add_argument("--threads", type=int, default=1, help="of each engine (default 1)")
    parser.add_argument(
        "--max-len-b", type=int, default=200, metavar="N", help="longest translation (default 200)"
    )
    add_task(parser)
    parser.add_argument(
        "--output", metavar="FOLDER", help="write table.md, bench.json and bench.png there"
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON, no table")
