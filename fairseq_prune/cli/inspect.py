"""``fairseq-prune inspect``: what is pruned in a checkpoint."""

from argparse import Namespace

from fairseq_prune.checkpoints.apply import rules_of
from fairseq_prune.checkpoints.checkpoint import Opened
from fairseq_prune.checkpoints.inspection import View, view, zeros_by_class
from fairseq_prune.checkpoints.steps import read_steps, told
from fairseq_prune.checkpoints.two_of_four import format_eligibility
from fairseq_prune.checkpoints.unmasked import made_by
from fairseq_prune.cli import _output
from fairseq_prune.cli._progress import Progress
from fairseq_prune.network.ties import parameters_in
from fairseq_prune.pruning.summary import format_table, left_out, whole
from fairseq_prune.tasks.opening import open_checkpoint

_DENSE = "not pruned: the file holds no masks"


def run(arguments: Namespace) -> int:
    """Look and print; returns the exit code."""
    with Progress(f"reading {arguments.checkpoint}"):
        opened = open_checkpoint(arguments.checkpoint, arguments.prune_classes)
        unnamed = rules_of(opened, arguments.prune_classes or "paper")
        shown = view(opened, opened.record)
        total = whole(shown.masks, parameters_in(opened.content["model"]))
        zeros = {} if shown.pruned else zeros_by_class(opened.weights)
    if unnamed is not None:
        _output.note(unnamed)
    if arguments.json:
        _output.print_json(
            {"checkpoint": opened.path, **shown.as_dict(), **total.as_dict(), "zeros": zeros}
        )
        return 0
    print(format_table(shown.rows))
    print(_output.unit_table(shown.units), end="")
    if shown.pruned:
        print(f"removed: {total}")
    for line in (*_lines(shown, zeros, made_by(opened.content, opened.path)), *_steps(opened)):
        print(line)
    print(f"{opened.path}: {_output.size_of(opened.path)}")
    return 0


def _lines(shown: View, zeros: dict[str, int], made: str) -> list[str]:
    lines = format_eligibility(shown.eligible())
    layers = left_out(shown.masks)
    lines += [] if layers is None else [layers]
    if shown.uncovered:
        lines.append(f"without masks: {', '.join(shown.uncovered)}")
    if shown.record is None:
        lines.append(f"no masks: this is what {made}" if made else _DENSE)
    elif not shown.pruned:
        lines.append("not pruned yet: the schedule has not begun")
    if zeros:
        counts = ", ".join(f"{count:,} in {label}" for label, count in zeros.items())
        lines.append(f"weights that are exactly zero without a mask: {counts}")
    if shown.pruned:
        lines.append(f"digest  {shown.masks.digest()}")
    if shown.record is not None:
        lines.append(f"recipe  {shown.record.recipe.signature()}")
        lines.append(f"made by {shown.record.command} (fairseq_prune {shown.record.version})")
    return lines


def _steps(opened: Opened) -> list[str]:
    """The steps by which the file came to be, if it says any."""
    return [f"step    {text}" for text in told(read_steps(opened.content, opened.path))]
