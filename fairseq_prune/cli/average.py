"""``fairseq-prune average``: the mean of several checkpoints, still pruned."""

import os
import shlex
from argparse import Namespace

from fairseq_prune.checkpoints import EPOCH
from fairseq_prune.checkpoints.average import average, members_of
from fairseq_prune.checkpoints.newest import best, newest
from fairseq_prune.cli import _output
from fairseq_prune.cli._progress import Progress
from fairseq_prune.tasks.opening import open_checkpoint


def run(arguments: Namespace) -> int:
    """Average and write; returns the exit code."""
    output = arguments.output
    _output.check_output(output, arguments.force)
    paths = _chosen(arguments)
    members = members_of([open_checkpoint(path) for path in paths])
    _output.check_space(output, members.last.tensors.values())
    with Progress() as progress:
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
