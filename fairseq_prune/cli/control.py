"""``fairseq-prune control``: the controls that a pruned model has to beat."""

import os
from argparse import Namespace

from fairseq_prune.checkpoints import CONTROLS
from fairseq_prune.checkpoints.checkpoint import Opened, with_model
from fairseq_prune.checkpoints.control import make_control
from fairseq_prune.cli import _output
from fairseq_prune.cli._progress import Progress
from fairseq_prune.cli._task import given_of
from fairseq_prune.masks.controls import overlap
from fairseq_prune.tasks.opening import open_checkpoint


def run(arguments: Namespace) -> int:
    """Make the control and write it; returns the exit code."""
    kind, output = arguments.kind, arguments.output
    if kind not in CONTROLS:
        known = ", ".join(CONTROLS)
        raise ValueError(f"--kind {kind!r} is unknown; choose one of {known}.")
    needed, useless = ("data", "weights") if kind == "reinit" else ("weights", "data")
    if getattr(arguments, needed) is None or getattr(arguments, useless) is not None:
        raise ValueError(
            f"--kind {kind} takes --{needed} and no --{useless}: "
            + ("its weights are fresh." if kind == "reinit" else "its weights are those of DENSE.")
        )
    _output.check_output(output, arguments.force)
    pruned = open_checkpoint(arguments.checkpoint)
    dense = _fresh(pruned, arguments) if kind == "reinit" else open_checkpoint(arguments.weights)
    _output.check_space(output, dense.tensors.values())
    with Progress() as progress:
        made = make_control(pruned, dense, kind, arguments.seed)
        total = sum(t.numel() for t in dense.tensors.values())
        content = made.content(progress.phase("zeroing", 0.7, total))
        _output.write(content, output, progress, 0.3, os.path.getsize(pruned.path))
    assert pruned.masks is not None
    shared = overlap(made.masks, pruned.masks)
    if arguments.json:
        facts = {"output": output, "kind": kind, "sparsity": made.masks.sparsity()}
        _output.print_json({**facts, "digest": made.masks.digest(), "overlap": shared})
        return 0
    print(
        f"{output}: {_output.size_of(output)}, {kind}, sparsity {made.masks.sparsity():.4f} of "
        f"{made.masks.prunable_in_all():,} prunable weights, "
        f"{shared:.2%} of what it keeps is kept in {pruned.path} too"
    )
    return 0


def _fresh(pruned: Opened, arguments: Namespace) -> Opened:
    from fairseq_prune import models  # fairseq takes seconds to load
    from fairseq_prune.tasks.offline import fresh_weights

    models.register()
    model = fresh_weights(pruned.path, given_of(arguments), arguments.seed)
    return with_model(pruned, model, f"the fresh model of seed {arguments.seed}")
