"""The words and flags of ``fairseq-prune study``."""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from fairseq_prune.study.stages import ASKED

HELP = "train, prune, retrain and score a whole grid of models from one file"
DESCRIPTION = f"""
Runs an ablation study: every point of a grid (models x data x schemes x saliencies x structures x
sparsities x stages x seeds) is an ordinary run of fairseq-train or fairseq-prune in a folder of
its own, OUTPUT/points/NAME, decoded and scored, and OUTPUT/report shows them all. Dense models and
masks are made once. What is finished is skipped, what was cut goes on; a point that fails leaves
the others alone and is tried again by the next run. Several runs may work in one folder.

Stages:
{chr(10).join(f"  {name:19}{stage.what}" for name, stage in ASKED.items())}

A study file runs what it names (data scripts, fairseq-train), as a Makefile does.
"""
EXAMPLES = """
examples:
  fairseq-prune study init --checkpoint dense.pt --data data-bin > my.yaml
  fairseq-prune study plan my.yaml --output runs/my
  fairseq-prune study run my.yaml --output runs/my
  fairseq-prune study run my.yaml --output /shared/my --on slurm --gpus 4 \\
      --slurm slurm_partition=gpu --slurm timeout_min=1440
  fairseq-prune study status my.yaml --output /shared/my
  fairseq-prune study clean my.yaml --output /shared/my --yes
"""
_ACTIONS = {
    "run": "do what is not done yet, then write the report",
    "plan": "say what run would do, and what it would cost",
    "status": "say what is done, running, failed and waiting",
    "clean": "remove the points that the file no longer asks for",
}
_STARTS = {
    "init": "print a commented study file to begin with, for a checkpoint and its data",
    "keys": "print every key of a study file, with its meaning and its default",
    "examples": "list the studies that come with the package, or copy them with what they read",
}
_PLACES = {
    "local": "processes of this machine",
    "slurm": "jobs of a Slurm cluster, through submitit",
    "submitit": "processes that submitit starts, to try the cluster's way on one machine",
}


def add(parser: ArgumentParser) -> None:
    """Add this subcommand's own subcommands."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True, dest="action")
    subs = {
        name: actions.add_parser(
            name, help=what, description=what, allow_abbrev=False,
            formatter_class=RawDescriptionHelpFormatter,
        )
        for name, what in {**_STARTS, **_ACTIONS}.items()
    }  # fmt: skip
    subs["init"].add_argument("--checkpoint", metavar="FILE", help="a dense model to start from")
    subs["init"].add_argument("--data", metavar="BIN", help="binarised data, as it was trained on")
    subs["examples"].add_argument(
        "folder", nargs="?", metavar="DIR", help="copy them there: a new folder, or an empty one"
    )
    for name in _ACTIONS:
        sub = subs[name]
        sub.add_argument("study", metavar="STUDY.yaml", help="init writes one; keys explains it")
        sub.add_argument("--output", required=True, metavar="DIR", help="folder of the study")
        if name in ("run", "plan"):
            _add_execution(sub)
        if name == "run":
            sub.add_argument("--no-report", action="store_true", help="leave the report out")
        elif name == "clean":
            sub.add_argument("--yes", action="store_true", help="remove them; else only list them")
        else:
            sub.add_argument("--json", action="store_true", help="print one line of JSON")


def _add_execution(parser: ArgumentParser) -> None:
    places = ", ".join(f"{name} ({what})" for name, what in _PLACES.items())
    flags: dict[str, dict[str, Any]] = {
        "--on": {"choices": _PLACES, "default": "local", "metavar": "PLACE",
                 "help": f"where points run: {places}; default local"},
        "--jobs": {"type": int, "metavar": "N",
                   "help": "points at a time (default: one a core or GPU; slurm: 100)"},
        "--gpus": {"type": int, "metavar": "N",
                   "help": "GPUs of each training, through torchrun; without GPUs, processes "
                   "(default 1)"},
        "--cpu": {"action": "store_true", "help": "leave GPUs alone"},
        "--slurm": {"action": "append", "default": [], "metavar": "NAME=VALUE",
                    "help": "a parameter of submitit, such as timeout_min (5 if not given); may be "
                    "repeated"},
    }  # fmt: skip
    for flag, settings in flags.items():
        parser.add_argument(flag, **settings)
