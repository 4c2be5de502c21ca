"""``fairseq-prune apply``: prune a trained checkpoint, without training."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path

from fairseq_prune.checkpoints.apply import Applied, Views, apply_recipe, check_recipe
from fairseq_prune.checkpoints.checkpoint import Opened
from fairseq_prune.checkpoints.inspection import view
from fairseq_prune.checkpoints.two_of_four import format_eligibility
from fairseq_prune.cli import _output
from fairseq_prune.cli._task import add_opening, given_of
from fairseq_prune.network.ties import parameters_in
from fairseq_prune.pruning.flags import add_arguments, recipe_of
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.pruning.summary import find_dead, find_unseen, format_table, whole
from fairseq_prune.tasks.opening import open_checkpoint
from fairseq_prune.tasks.own import Given

HELP = "prune a trained checkpoint, without training"
DESCRIPTION = """
Prunes a trained fairseq checkpoint at once, exactly as training would before its first update
with the same flags. The pruned weights become zeros in the model and in its average (EMA); the
masks go into the file, so that training with --user-dir fairseq_prune goes on from there and
holds them. Everything else stays as it is, except the optimizer's state, which is left out: a
pruned model starts a new optimisation. Masks that the checkpoint has already are kept; they only
shrink. Plain fairseq opens the result without this package.
"""
EXAMPLES = """
examples:
  fairseq-prune apply dense.pt --prune-scheme class-blind --dry-run
      shows what 80% would remove, by weight class, and writes nothing
  fairseq-prune apply dense.pt --output pruned.pt --prune-scheme class-distribution \\
      --prune-sparsity 0.6
  fairseq-prune apply dense.pt --output pruned.pt --prune-scheme class-uniform \\
      --prune-exclude source-embedding,target-embedding
  fairseq-prune apply dense.pt --output pruned.pt --prune-scheme class-blind \\
      --prune-saliency snip --data data-bin/iwslt15.tokenized.en-vi
  fairseq-prune apply other_seed.pt --output ticket.pt --prune-mask-from pruned.pt
"""


def add(parser: ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="the checkpoint to prune")
    parser.add_argument("--output", metavar="OUT", help="where to write the pruned checkpoint")
    parser.add_argument(
        "--data",
        metavar="DATA",
        help="binarised data, for a saliency that scores on data or on the network; others do not "
        "read them",
    )
    add_opening(parser)
    parser.add_argument("--force", action="store_true", help="replace OUT if it exists")
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be removed, write nothing"
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON, no table")
    add_arguments(parser.add_argument_group("how to prune"), recipe_only=True)


def run(arguments: Namespace) -> int:
    """Prune and write; returns the exit code."""
    recipe = check_recipe(recipe_of(arguments), arguments.data)
    output = _output.chosen(arguments, "apply", "pruned")
    with _output.Progress() as progress:
        done = progress.phase("reading", 0.4, 1)
        source = open_checkpoint(arguments.checkpoint, recipe.settings["classes"], recipe.excluded)
        if output is not None:
            _output.check_space(output, source.tensors.values())
        given = given_of(arguments) if recipe.looks else None
        looks = views(source.path, given, recipe, progress.scored)
        applied = apply_recipe(source, recipe, looks)
        done(1)
        if output is not None:
            tick = progress.phase("zeroing", 0.3, sum(t.numel() for t in source.tensors.values()))
            _output.write(applied.content(tick), output, progress, 0.3, source.size)
    _report(applied, source, arguments, output)
    return 0


def views(
    checkpoint: str, given: Given | None, recipe: Recipe, told: Callable[[int, int], None]
) -> Views:
    """What the recipe's saliency looks at beside the weights of a checkpoint.

    Args:
        given: the data, and what else flags say of the checkpoint's task; None for nothing.
        told: is told now and then how many batches of how many are scored.
    """
    if given is None:
        return Views()
    from fairseq_prune import models  # fairseq takes seconds to load
    from fairseq_prune.tasks.offline import open_network

    models.register()
    network = open_network(checkpoint, given, told)
    count, seed = recipe.settings["score_batches"], recipe.settings["seed"]
    return Views(
        sample=network.sampler(count, seed) if "data" in recipe.needs else None,
        flow=network.flow() if "network" in recipe.needs else None,
    )


def _report(applied: Applied, source: Opened, arguments: Namespace, output: str | None) -> None:
    shown = view(source, applied.record, fresh=True)
    notes = applied.record.notes
    recipe, found = applied.record.recipe, applied.reached
    total = whole(applied.masks, parameters_in(source.content["model"]))
    if arguments.data is not None and not recipe.looks:
        saliency = recipe.saliency or "magnitude"
        _output.note(f"--data is not read: --prune-saliency {saliency} needs none")
    for sentence in applied.remarks:
        _output.note(sentence)
    for sentence in (
        *(() if found is None else found.warnings),
        *find_unseen(notes, applied.masks),
        *find_dead(shown.rows, applied.masks),
    ):
        _output.warn(sentence)
    if arguments.json:
        size = None if output is None else os.path.getsize(output)
        facts = {**shown.as_dict(), **total.as_dict(), "output": output, "bytes": size}
        _output.print_json(facts)
        return
    print(format_table(shown.rows, notes.sigma))
    print(_output.unit_table(shown.units), end="")
    for line in format_eligibility(shown.eligible()):
        print(line)
    if notes.lambda_ is not None:
        print(f"lambda {notes.lambda_:.6g}: class c loses |w| < lambda * sigma_c")
    if found is not None:
        print(f"pruned to {found}")
    print(f"removed: {total}")
    print(f"{recipe.signature()}, masks {applied.masks.digest()[:12]}")
    before = _output.source_of(source.path, source.size, source.content)
    if output is not None:
        print(f"{output}: {_output.size_of(output)}, pruned from {before}")
        return
    exists = arguments.output and Path(arguments.output).exists() and not arguments.force
    more = f" ({arguments.output} exists: writing it needs --force)" if exists else ""
    print(f"dry run of {before}: nothing was written{more}")
