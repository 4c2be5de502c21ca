"""The words and flags of ``fairseq-prune bench``."""

from argparse import ArgumentParser

from fairseq_prune.bench import ENGINES, LENGTHS
from fairseq_prune.cli.parsers._shared import add_task

HELP = "speed, memory, bytes and BLEU of checkpoints and exports, beside a dense model's"
DESCRIPTION = """
Says of each model how fast it translates and what that costs: milliseconds a sentence (the median
and the 95th percentile), target tokens a second, peak memory, bytes on disk, BLEU and chrF; and in
words what is fastest and smallest, what is really faster, and whether BLEU differs. It does so in
fairseq, in fairseq with its linear layers as sparse matrices, in torch's 8-bit kernels (LSTMs), and
in CTranslate2 (Transformers). Tables before that have bytes in every form, weights and
multiply-adds. A model is a checkpoint, a compact file, or a folder that export wrote, which is
measured in the engine it is for.

Everything is compared with the model of --against (the first, unless told otherwise): speed, times,
bytes and memory with it in the same engine and form, so that a small int8 stands against the dense
int8, for which it is exported; speed also, and BLEU, with it in fairseq. Engines take turns, round
after round, and ratios of speed are those of the same round: "faster" stands where each round was,
"no gain" where the median is below 1.03, by which two copies of one model may differ, and "unsure"
between them: measure again on an idle machine.

With --length reference, the default, the search takes as many steps as the reference has tokens, so
that each model makes the same number of tokens: one that runs on, or stops at once, as models that
were pruned too far do, is neither slow nor fast for that. Sentences of a batch take as many steps
as their references have on average. With --length own each model ends its own translations. How
long these are, of the references, is told in both; BLEU is always of these, of all of the subset,
as evaluate gives it.

At batch 1 the times are of each sentence, at larger ones of each batch by its sentences, each the
median of its rounds. Memory is the peak that is resident in a process which translates the
sentences and does nothing else, programs and libraries included (VmHWM of Linux).

Engines that cannot take a model are left out, with the reason. Each model translates under the task
that it was trained with, one of several language pairs the one that -s and -t name; files with
colons between them are an ensemble, whose bytes, weights and multiply-adds are those of all.
"""
EXAMPLES = """
examples:
  fairseq-prune bench dense.pt pruned.pt small.pt --data data-bin --remove-bpe sentencepiece
  fairseq-prune bench dense.pt small.pt --data data-bin --beams 5 --batches 1 --output bench
  fairseq-prune bench small-int8/ small.fsz --against dense.pt --data data-bin --no-bleu
"""


def add(parser: ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument(
        "checkpoints",
        metavar="CHECKPOINT",
        nargs="+",
        help="checkpoints, compact files and folders of exports; colons between the files of an "
        "ensemble",
    )
    parser.add_argument(
        "--against",
        metavar="MODEL",
        help="compare with this model: one of those above, or a further one (default: the first)",
    )
    _add_work(parser)
    _add_decoding(parser)
    add_task(parser)
    parser.add_argument(
        "--output", metavar="FOLDER", help="write table.md, bench.json and bench.png there"
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON, no table")


def _add_work(parser: ArgumentParser) -> None:
    """Add those that say what is translated by what, and how often."""
    parser.add_argument("--data", required=True, metavar="BIN", help="made by fairseq-preprocess")
    parser.add_argument("--gen-subset", default="test", help="subset to translate (default test)")
    parser.add_argument(
        "--sentences",
        type=int,
        default=100,
        metavar="N",
        help="time the first N of it (default 100)",
    )
    parser.add_argument(
        "--beams", type=int, nargs="+", default=[1, 5], metavar="N", help="beam sizes (1 5)"
    )
    parser.add_argument(
        "--batches", type=int, nargs="+", default=[1, 8, 64], metavar="N", help="sentences (1 8 64)"
    )
    parser.add_argument(
        "--engines", nargs="+", choices=ENGINES, help="default: all for the model's architecture"
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often (default 5)")
    parser.add_argument("--threads", type=int, default=1, help="of each engine (default 1)")
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="measure time on the processor, not the clock's: where other work runs meanwhile",
    )


def _add_decoding(parser: ArgumentParser) -> None:
    """Add those that say how to decode and what to score against."""
    parser.add_argument(
        "--length",
        choices=tuple(LENGTHS),
        help="how long the translations are that are timed: "
        + "; ".join(f"{name}: {what}" for name, what in LENGTHS.items())
        + " (default: reference, where the data have them and no model refines sentences)",
    )
    parser.add_argument(
        "--max-len-a", type=float, default=0.0, metavar="A",
        help="a translation has at most A times the source's tokens, plus B (default 0)",
    )  # fmt: skip
    parser.add_argument(
        "--max-len-b", type=int, default=200, metavar="B", help="see --max-len-a (default 200)"
    )
    parser.add_argument(
        "--no-bleu", action="store_true", help="measure no BLEU: do not translate the whole subset"
    )
    parser.add_argument(
        "--remove-bpe", nargs="?", const="@@ ", metavar="KIND",
        help="join subwords before scoring, as for fairseq-generate, e.g. sentencepiece",
    )  # fmt: skip
    parser.add_argument(
        "--reference", metavar="FILE",
        help="raw target text to score against (default: the subset's own target, subwords joined)",
    )  # fmt: skip
