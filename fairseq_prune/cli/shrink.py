"""``fairseq-prune shrink``: cut pruned units out of a checkpoint."""

import math
import os
import shlex
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from fairseq_prune.checkpoints.shrink import CutOut, plan, shrink
from fairseq_prune.checkpoints.widths import STOCK, is_said
from fairseq_prune.cli import _output
from fairseq_prune.files.table import Table, as_text
from fairseq_prune.maths.structure import UNITS
from fairseq_prune.models import TRAINABLE
from fairseq_prune.network.options import architecture, model_options, task_name
from fairseq_prune.network.ties import parameters_in
from fairseq_prune.network.units import Axis
from fairseq_prune.tasks.opening import open_checkpoint

# what to do with a model of a task, and the words of the command before and after its path
_USES = {
    "translation": ("to translate", "fairseq-generate", "--beam", "5"),
    "language_modeling": ("to evaluate", "fairseq-eval-lm"),
}
_FUSED = "transformer_bert_fused"  # and its sizes, which begin like it
_OURS = {"bart" if ours == "shrunk_bart" else stock: ours for ours, stock in STOCK.items()}


def run(arguments: Namespace) -> int:
    """CutOut and write; returns the exit code."""
    output = _output.chosen(arguments, "shrink", "smaller")
    with _output.Progress() as progress:
        done = progress.phase("reading", 0.5, 1)
        source = open_checkpoint(arguments.checkpoint)
        cut = _fitted(plan(source, arguments.uniform, arguments.anyway))
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


def _fitted(cut: CutOut) -> CutOut:
    """The cut with the architecture of ours that holds what is left of its family.

    Raises ValueError where what is left needs one of ours, and there is none for it.
    """
    strange = next((axis for axis in cut.axes if _is_cut(cut, axis) and not is_said(axis)), None)
    arch = architecture(cut.source.content) or "unknown"
    if strange is not None:
        raise ValueError(
            f"{cut.source.path} has units in {strange.name}, where no setting of {arch} that is "
            "known here says how many there are: what is left could not be opened; its zeros stay."
        )
    if cut.settings.arch is None:
        return cut
    from fairseq.models import ARCH_MODEL_NAME_REGISTRY  # takes seconds to load

    family = ARCH_MODEL_NAME_REGISTRY.get(arch, arch).removeprefix("shrunk_")
    ours = _OURS.get(family)
    if arch.startswith(_FUSED) or ours is None or not _fits(cut, ours):
        raise ValueError(_none_fits(cut, arch, ours))
    _check_alignments(cut, family)
    return replace(cut, settings=replace(cut.settings, arch=ours))


def _fits(cut: CutOut, ours: str) -> bool:
    return (
        ours != "shrunk_lstm"
        or "decoder.attention.output_proj.weight" in (cut.source.content["model"])
    )


def _none_fits(cut: CutOut, arch: str, ours: str | None) -> str:
    few = [axis for axis in cut.axes if axis.kind == "heads" and _is_cut(cut, axis)]
    what = "fewer heads than fit its width" if few else "layers of different widths"
    why = "has an attention" if ours == "shrunk_lstm" else f"is there for {arch}"
    lacking = f"fairseq has no setting for that, and no architecture of ours {why}"
    if ours == "shrunk_lstm":
        lacking = f"fairseq has no setting for that, and {ours} {why}, which this model has not"
    return f"{cut.source.path} would have {what}: {lacking}; {_instead(cut, bool(few))}."


def _check_alignments(cut: CutOut, family: str) -> None:
    """Raises ValueError where a model that aligns words would align others."""
    if family != "transformer_align":
        return
    layers = [axis for axis in cut.axes if axis.name.endswith(".encoder_attn.heads")]
    number = model_options(cut.source.content).get("alignment_layer")
    place = len(layers) - 1 if number is None else int(number)
    chosen = layers[place] if 0 <= place < len(layers) else None  # fairseq then aligns by none
    if chosen is not None and _is_cut(cut, chosen):
        raise ValueError(
            f"{cut.source.path} aligns words by the mean of heads of "
            f"{chosen.name.removesuffix('.heads')}, which would be another without some of them: "
            f"prune other heads (--prune-exclude {chosen.label}), or neurons (--prune-structure "
            "ffn)."
        )


def _is_cut(cut: CutOut, axis: Axis) -> bool:
    before, left = cut.counts[axis.name]
    return left < before


def _instead(cut: CutOut, few: bool) -> str:
    """What to do where only fairseq's own settings are there to say what is left."""
    kind = next((k for k in UNITS if k != "heads" and k in {a.kind for a in cut.axes}), None)
    alone = f"prune units of another kind, alone (--prune-structure {kind})"
    try:
        plan(cut.source, uniform=True, anyway=True)
    except ValueError:  # nothing would go
        return alone if few and kind else "its zeros stay"
    stays = "leaves the heads in place" if few else "leaves each layer as wide as the widest"
    return f"give --uniform, which {stays}" + (f", or {alone}" if few and kind else "")


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
        words = [use[1], data_of(cut.source.content), *plugin, "--path", output, *use[2:]]
        lines.insert(0, f"{use[0]}: {shlex.join(words)}")
    return lines


def _is_stock(cut: CutOut) -> bool:
    return cut.settings.arch is None and cut.arch not in TRAINABLE
