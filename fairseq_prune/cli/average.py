"""``fairseq-prune average``: the mean of several checkpoints, still pruned."""

import os
import shlex
from argparse import ArgumentParser, Namespace

from fairseq_prune.checkpoints.average import average, members_of
from fairseq_prune.checkpoints.newest import EPOCH, UPDATE, best, newest
from fairseq_prune.cli import _output
from fairseq_prune.tasks.opening import open_checkpoint

HELP = "average the models of several checkpoints, pruned ones included"
DESCRIPTION = """
Averages the checkpoints that are given, or takes them out of a run's folder: its newest by epoch
or by update, or its best, as fairseq's scripts/average_checkpoints.py does; it says which.

Writes the mean of the checkpoints' models, summed in float64, in the dtype they have. The
configuration and everything else is taken from the last of them, the newest; the optimizer's state
and the EMA are left out, since they belong to one checkpoint and not to the mean. Pruned
checkpoints must agree on what is pruned, or the last one must have pruned all that the others
have, as the latest of a gradual run has; its masks are applied then.
"""
EXAMPLES = """
examples:
  fairseq-prune average checkpoint8.pt checkpoint9.pt checkpoint10.pt --output average.pt
  fairseq-prune average checkpoints --newest 5 --output average.pt
      the last five epochs; with --up-to 40, epochs 36 to 40
  fairseq-prune average checkpoints --newest 10 --by update --output average.pt
      the last ten of --save-interval-updates
  fairseq-prune average checkpoints --best 5 --output average.pt
      the best five of --keep-best-checkpoints, by the score in their names
"""


def add(parser: ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument(
        "checkpoints",
        metavar="CHECKPOINT",
        nargs="+",
        help="the checkpoints, the latest one last; with --newest or --best, the folder of a run",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--newest",
        metavar="N",
        type=int,
        help="take the newest N of the folder (the script's --num-epoch-checkpoints and "
        "--num-update-checkpoints)",
    )
    which.add_argument(
        "--best",
        metavar="N",
        type=int,
        help="take the best N of the folder's checkpoint.best_METRIC_SCORE.pt; whether a lower or "
        "a higher score is better is in the files (--num-best-checkpoints)",
    )
    parser.add_argument(
        "--by",
        choices=(EPOCH, UPDATE),
        help="with --newest: checkpointN.pt of epochs (the default), or checkpoint_EPOCH_N.pt of "
        "updates",
    )
    parser.add_argument(
        "--up-to",
        metavar="N",
        type=int,
        help="with --newest: the last epoch, or update, that counts (--checkpoint-upper-bound)",
    )
    parser.add_argument("--output", metavar="OUT", required=True, help="where to write the mean")
    parser.add_argument("--force", action="store_true", help="replace OUT if it exists")
    parser.add_argument("--json", action="store_true", help="print one line of JSON, no text")


def run(arguments: Namespace) -> int:
    """Average and write; returns the exit code."""
    output = arguments.output
    _output.check_output(output, arguments.force)
    paths = _chosen(arguments)
    members = members_of([open_checkpoint(path) for path in paths])
    _output.check_space(output, members.last.tensors.values())
    with _output.Progress() as progress:
        model = members.last.content["model"]
        total = sum(v.numel() for v in model.values() if hasattr(v, "numel"))
        content = average(members, progress.phase("averaging", 0.7, total))
        about = os.path.getsize(members.last.path)
        _output.write(content, output, progress, 0.3, about)
    masks = members.masks
    sparsity = None if masks is None else masks.sparsity()
    if arguments.json:
        facts = {
            "output": output,
            "bytes": os.path.getsize(output),
            "checkpoints": paths,
            "sparsity": sparsity,
            "digest": None if masks is None else masks.digest(),
            "note": members.note,
        }
        _output.print_json(facts)
        return 0
    if arguments.newest or arguments.best:
        print(f"averaged, oldest to newest: {' '.join(map(shlex.quote, paths))}")
    if members.note:
        print(members.note)
    kind = "not pruned"
    if masks is not None:
        kind = f"sparsity {sparsity:.4f} of {masks.prunable_in_all():,} prunable weights"
    print(f"{output}: {_output.size_of(output)}, the mean of {len(paths)} checkpoints, {kind}")
    return 0


def _chosen(arguments: Namespace) -> list[str]:
    """The files to average, the newest last."""
    given, flag = arguments.checkpoints, "--best" if arguments.newest is None else "--newest"
    count = arguments.best if arguments.newest is None else arguments.newest
    if arguments.newest is None and (arguments.by or arguments.up_to is not None):
        raise ValueError("--by and --up-to say which are the newest: give --newest N.")
    if count is None:
        folder = next((path for path in given if os.path.isdir(path)), None)
        if folder is not None:
            raise ValueError(
                f"{folder} is a folder: give --newest N or --best N to say which of its "
                "checkpoints to average."
            )
        return [*given]
    if len(given) != 1:
        raise ValueError(f"{flag} takes one folder, not {len(given)} names: give that of the run.")
    if count < 1:
        raise ValueError(f"{flag} {count} must be 1 or more.")
    if arguments.best is not None:
        return best(given[0], count)
    return newest(given[0], count, arguments.by or EPOCH, arguments.up_to)
