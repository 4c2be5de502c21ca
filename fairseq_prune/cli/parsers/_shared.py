"""Flags that several subcommands have."""

from argparse import ArgumentParser

from fairseq_prune.pruning.flags import add_arguments


def add_task(parser: ArgumentParser) -> None:
    """Add the arguments that override what a checkpoint says of its task."""
    parser.add_argument(
        "-s", "--source-lang", help="source language (default: the checkpoint's, or the data's)"
    )
    parser.add_argument("-t", "--target-lang", help="target language, likewise")
    add_opening(parser)


def add_opening(parser: ArgumentParser) -> None:
    """Add those of them that a task without languages has, too."""
    parser.add_argument(
        "--dataset-impl",
        metavar="KIND",
        help="how the data are stored, as for fairseq-train, e.g. raw (default: it is found out)",
    )
    add_overrides(parser)


def add_overrides(parser: ArgumentParser) -> None:
    """Add --model-overrides."""
    parser.add_argument(
        "--model-overrides",
        metavar="DICT",
        help="settings of the checkpoint to replace, its task's included, e.g. \"{'dropout': 0}\"",
    )


def add_plugin(parser: ArgumentParser) -> None:
    """Add --user-dir."""
    parser.add_argument(
        "--user-dir",
        metavar="DIR",
        help="a fairseq plugin that the checkpoint needs; this package's models need none",
    )


def add_results(parser: ArgumentParser) -> None:
    """Add --tag, --output and --json."""
    parser.add_argument(
        "--tag",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="say this too in each line of results, e.g. stage=retrained, or a value for each "
        "checkpoint, stage=dense,pruned; may be repeated",
    )
    parser.add_argument("--output", metavar="FILE", help="results file to append to")
    parser.add_argument("--json", action="store_true", help="print the lines of results, no table")


def add_prune_flags(parser: ArgumentParser, timed: bool = False) -> None:
    """Add the prune flags in brief; those that say when only where something is trained."""
    group = parser.add_argument_group("how to prune (what it all means: fairseq-prune flags)")
    add_arguments(group, brief=True, timed=timed)
