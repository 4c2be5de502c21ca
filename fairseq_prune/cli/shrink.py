"""``fairseq-prune shrink``: cut pruned units out of a checkpoint."""

import math
import os
import shlex
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from fairseq_prune.checkpoints.shrink import CutOut, plan, shrink
from fairseq_prune.cli import _output
from fairseq_prune.cli._progress import Progress
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.files.table import Table, as_text
from fairseq_prune.models import TRAINABLE
from fairseq_prune.models.fitting import fitted
from fairseq_prune.network.options import task_name
from fairseq_prune.network.ties import parameters_in
from fairseq_prune.tasks.opening import open_checkpoint

# what to do with a model of a task, and the words of the command before and after its path
_USES = {
    "translation": ("to translate", "fairseq-generate", "--beam", "5"),
    "language_modeling": ("to evaluate", "fairseq-eval-lm"),
}


def run(arguments: Namespace) -> int:
    """CutOut and write; returns the exit code."""
    output = _output.chosen(arguments, "shrink", "smaller")
    with Progress() as progress:
        done = progress.phase("reading", 0.5, 1)
        source = open_checkpoint(arguments.checkpoint)
        cut = fitted(plan(source, arguments.uniform, arguments.anyway))
        content = shrink(cut)
        train, why = _training(content, output)
        done(1)
        if output is not None:
            _output.check_space(output, _tensors(content))
            _output.write(content, output, progress, 0.5, cut.source.size)
    facts = {**_facts(cut, content, output), "train": train}
    if arguments.json:
        _output.print_json(facts)
        return 0
    print(as_text(_table(cut)), end="")
    for line in (*_lines(cut, facts, why), *_written(cut, output)):
        print(line)
    return 0


def _training(content: Mapping[str, Any], output: str | None) -> tuple[list[str], str]:
    """The command that trains what is left as it was trained, or none, and why not."""
    from fairseq_prune import register  # fairseq is there since the checkpoint was opened
    from fairseq_prune.tasks.command_line import data_of, training_flags

    register()
    target = output or "OUT"
    places = [
        "--finetune-from-model",
        target,
        "--save-dir",
        f"{target.removesuffix('.pt')}-trained",
    ]
    try:
        flags = training_flags(content)
    except ValueError as error:
        return [], f"the flags to train it further are not known: {error}"
    return ["fairseq-train", data_of(content), "--user-dir", "fairseq_prune", *places, *flags], ""


def _tensors(content: Mapping[str, Any]) -> list[Tensor]:
    return [value for value in content["model"].values() if isinstance(value, Tensor)]


def _facts(cut: CutOut, content: Mapping[str, Any], output: str | None) -> dict[str, Any]:
    return {
        "checkpoint": cut.source.path,
        "output": output,
        "bytes": None if output is None else os.path.getsize(output),
        "units": {name: list(pair) for name, pair in cut.counts.items()},
        "arch": cut.settings.arch,
        "settings": dict(cut.settings.values),
        "parameters": [
            sum(value.numel() for value in parameters_in(whole["model"]).values())
            for whole in (cut.source.content, content)
        ],
    }


def _table(cut: CutOut) -> Table:
    rows = [
        [axis.name, axis.kind, f"{axis.units:,}", f"{left:,}", f"{1 - left / axis.units:.0%}"]
        for axis in cut.axes
        for left in [cut.counts[axis.name][1]]
    ]
    return [["units of", "kind", "before", "left", "cut out"], *rows]


def _lines(cut: CutOut, facts: Mapping[str, Any], why: str) -> list[str]:
    before, after = facts["parameters"]
    ratio = after / before if before else math.nan
    stock = _is_stock(cut)
    return [
        f"parameters: {before:,} -> {after:,} ({ratio:.0%})",
        "a plain fairseq checkpoint: it opens without this package"
        if stock
        else f"architecture {cut.arch}: give --user-dir fairseq_prune to commands that open it",
        why or f"to train it further: {shlex.join(facts['train'])}",
    ]


def _written(cut: CutOut, output: str | None) -> list[str]:
    """What to do with the file, and its size."""
    source = _output.source_of(cut.source.path, cut.source.size, cut.source.content)
    if output is None:
        return [f"dry run of {source}: nothing was written"]
    from fairseq_prune.tasks.command_line import data_of

    lines = [f"{output}: {_output.size_of(output)}, cut out of {source}"]
    use = _USES.get(task_name(cut.source.content) or "translation")
    if use is not None:
        plugin = [] if _is_stock(cut) else ["--user-dir", "fairseq_prune"]
        data = data_of(cut.source.content)
        join = Settings(data=data).joining() if use[1] == "fairseq-generate" else []
        words = [use[1], data, *plugin, "--path", output, *use[2:], *join]
        lines.insert(0, f"{use[0]}: {shlex.join(words)}")
    return lines


def _is_stock(cut: CutOut) -> bool:
    return cut.settings.arch is None and cut.arch not in TRAINABLE
