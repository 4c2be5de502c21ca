"""``fairseq-prune apply``: prune a trained checkpoint, without training."""

import os
from argparse import Namespace
from pathlib import Path

from fairseq_prune.checkpoints.apply import Applied, apply_recipe, check_recipe, unread_data
from fairseq_prune.checkpoints.checkpoint import Opened
from fairseq_prune.checkpoints.inspection import view
from fairseq_prune.checkpoints.two_of_four import format_eligibility
from fairseq_prune.cli import _output
from fairseq_prune.cli._progress import Progress
from fairseq_prune.cli._task import given_of, looks_at
from fairseq_prune.network.ties import parameters_in
from fairseq_prune.pruning.flags import recipe_of
from fairseq_prune.pruning.summary import format_table, left_out, whole
from fairseq_prune.tasks.opening import open_checkpoint


def run(arguments: Namespace) -> int:
    """Prune and write; returns the exit code."""
    recipe = check_recipe(recipe_of(arguments), arguments.data)
    output = _output.chosen(arguments, "apply", "pruned")
    with Progress() as progress:
        done = progress.phase("reading", 0.4, 1)
        source = open_checkpoint(arguments.checkpoint, recipe.resolved.classes, recipe.excluded)
        if output is not None:
            _output.check_space(output, source.tensors.values())
        given = given_of(arguments) if recipe.looks else None
        looks = looks_at(source.path, given, recipe, progress.scored)
        applied = apply_recipe(source, recipe, looks)
        done(1)
        if output is not None:
            tick = progress.phase("zeroing", 0.3, sum(t.numel() for t in source.tensors.values()))
            _output.write(applied.content(tick), output, progress, 0.3, source.size)
    _report(applied, source, arguments, output)
    return 0


def _report(applied: Applied, source: Opened, arguments: Namespace, output: str | None) -> None:
    shown = view(source, applied.record, fresh=True)
    notes = applied.record.notes
    recipe, found = applied.record.recipe, applied.reached
    total = whole(applied.masks, parameters_in(source.content["model"]))
    unread = () if arguments.data is None else unread_data(recipe)
    for sentence in (*unread, *applied.remarks):
        _output.note(sentence)
    for sentence in applied.doubts(shown.rows):
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
    layers = left_out(applied.masks)
    if layers is not None:
        print(layers)
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
