"""``fairseq-prune average``: the mean of several checkpoints, still pruned."""

import os
from argparse import ArgumentParser, Namespace

from fairseq_prune.cli import _output
from fairseq_prune.pruning.average import average, members_of
from fairseq_prune.tasks.opening import open_checkpoint

HELP = "average the models of several checkpoints, pruned ones included"
DESCRIPTION = """
Writes the mean of the checkpoints' models, summed in float64, in the dtype they have. The
configuration and everything else is taken from the last checkpoint given; the optimizer's state
and the EMA are left out, since they belong to one checkpoint and not to the mean. Pruned
checkpoints must agree on what is pruned, or the last one must have pruned all that the others
have, as the latest of a gradual run has; its masks are applied then.
"""
EXAMPLES = """
examples:
  fairseq-prune average checkpoint8.pt checkpoint9.pt checkpoint10.pt --output average.pt
"""


def add(parser: ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument(
        "checkpoints", metavar="CHECKPOINT", nargs="+", help="the checkpoints, the latest one last"
    )
    parser.add_argument("--output", metavar="OUT", required=True, help="where to write the mean")
    parser.add_argument("--force", action="store_true", help="replace OUT if it exists")
    parser.add_argument("--json", action="store_true", help="print one line of JSON, no text")


def run(arguments: Namespace) -> int:
    """Average and write; returns the exit code."""
    output = arguments.output
    _output.check_output(output, arguments.force)
    members = members_of([open_checkpoint(path) for path in arguments.checkpoints])
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
            "checkpoints": arguments.checkpoints,
            "sparsity": sparsity,
            "digest": None if masks is None else masks.digest(),
            "note": members.note,
        }
        _output.print_json(facts)
        return 0
    if members.note:
        print(members.note)
    kind = "not pruned"
    if masks is not None:
        kind = f"sparsity {sparsity:.4f} of {masks.prunable_in_all():,} prunable weights"
    count = len(arguments.checkpoints)
    print(f"{output}: {_output.size_of(output)}, the mean of {count} checkpoints, {kind}")
    return 0
