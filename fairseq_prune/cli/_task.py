"""Flags of commands that run models: what they say of a checkpoint's task overrides the file."""

from argparse import ArgumentParser, Namespace

from fairseq_prune.tasks.own import Given

# the names under which they are parsed
TASK = ("source_lang", "target_lang", "dataset_impl", "model_overrides", "user_dir")


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


def given_of(arguments: Namespace) -> Given:
    """What the arguments say of a checkpoint's task, its data included."""
    names = ("data", "dataset_impl", "model_overrides", "user_dir")
    return Given(**{name: getattr(arguments, name) for name in names})
