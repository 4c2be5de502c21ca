"""The words and flags of ``fairseq-prune flags``."""

from argparse import SUPPRESS, ArgumentParser

from fairseq_prune.pruning.flags import add_arguments, add_penalty_arguments
from fairseq_prune.pruning.penalty_flags import PENALTIES

HELP = "list the prune flags of fairseq-train --user-dir fairseq_prune"
DESCRIPTION = """
Lists every prune flag of fairseq-train, fairseq-hydra-train (task.prune_scheme and so on) and
fairseq-prune apply. fairseq's own --help does not list the flags of tasks and criterions.
"""
EXAMPLES = """
examples:
  fairseq-train DATA --user-dir fairseq_prune --prune-scheme class-distribution \\
      --prune-sparsity 0.8 --finetune-from-model dense.pt ...
"""


def add(parser: ArgumentParser) -> None:
    """This subcommand has no arguments."""


def flags_text() -> str:
    """The prune flags and what they mean, as argparse prints them."""
    parser = ArgumentParser(usage=SUPPRESS, add_help=False)
    add_arguments(parser.add_argument_group("flags of fairseq-train --user-dir fairseq_prune"))
    for name in PENALTIES:
        group = parser.add_argument_group(f"and of --criterion NAME_{name}, NAME a stock criterion")
        add_penalty_arguments(group, name)
    return parser.format_help()
