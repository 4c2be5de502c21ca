"""``fairseq-prune flags``: the flags that fairseq-train understands with this plugin."""

from argparse import Namespace

from fairseq_prune.cli.parsers.flags import flags_text


def run(_: Namespace) -> int:
    """Print the flags; returns the exit code."""
    print(flags_text(), end="")
    return 0
