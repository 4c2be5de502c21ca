"""``fairseq-prune export``: a model as a file to keep, to send or to run elsewhere."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fairseq_prune.cli import _output
from fairseq_prune.exports import compact
from fairseq_prune.exports.stripped import NOTE, stripped
from fairseq_prune.masks import storage

HELP = "write a model as a small file, or as one for another program"
DESCRIPTION = """
Writes the model of a checkpoint, or of a compact file, in another format: without the optimizer's
state, averages (EMA), masks and the record of the pruning, of which a note of recipe and sparsity
remains. Keep the checkpoint itself to train on, since a run that starts from an export holds no
masks. --half stores floats as float16, and refuses a model with values beyond 65504.
"""
EXAMPLES = """
examples:
  fairseq-prune export pruned.pt --format compact --output model.fsz
  fairseq-prune export model.fsz --format checkpoint --output model.pt
  fairseq-generate DATA --path model.pt
"""


@dataclass(frozen=True)
class Format:
    """A kind of file that a model can be written as.

    Args:
        write: takes the stripped checkpoint, the path of the output, and what is to be called
            with the number of weights done.
        about: what it is, in a line of --help.
    """

    write: Callable[[Mapping[str, Any], str, Callable[[int], None]], None]
    about: str


def _write_checkpoint(content: Mapping[str, Any], path: str, tick: Callable[[int], None]) -> None:
    _output.check_space(path, content["model"].values())
    storage.save(content, path)


FORMATS = {
    "checkpoint": Format(_write_checkpoint, "a fairseq checkpoint, which fairseq opens by itself"),
    "compact": Format(compact.write, "without the zeros, compressed; exact; read by this command"),
}


def add(parser: ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="the checkpoint or compact file")
    about = "; ".join(f"{name}: {entry.about}" for name, entry in FORMATS.items())
    parser.add_argument("--format", choices=FORMATS, required=True, help=about)
    parser.add_argument("--output", metavar="OUT", required=True, help="where to write the model")
    parser.add_argument("--half", action="store_true", help="store floats as float16")
    parser.add_argument("--force", action="store_true", help="replace OUT if it exists")
    parser.add_argument("--json", action="store_true", help="print one line of JSON, no text")


def run(arguments: Namespace) -> int:
    """Read and write; returns the exit code."""
    path, output = arguments.checkpoint, arguments.output
    _output.check_output(output, arguments.force)
    with _output.Progress() as progress:
        content = stripped(read(path), path, arguments.half)
        tensors = {id(t): t for t in content["model"].values()}.values()
        tick = progress.phase("writing", 1.0, sum(t.numel() for t in tensors))
        FORMATS[arguments.format].write(content, output, tick)
    size, dense = os.path.getsize(output), sum(t.numel() * t.element_size() for t in tensors)
    facts = {
        "output": output,
        "bytes": size,
        "format": arguments.format,
        "half": arguments.half,
        "tensor_bytes": dense,
        "note": content.get(NOTE),
    }
    if arguments.json:
        _output.print_json(facts)
        return 0
    print(
        f"{output}: {_output.in_units(size)}, {size / max(dense, 1):.1%} of its tensors, "
        f"from {_output.size_of(path)}"
    )
    return 0


def read(path: str) -> dict[str, Any]:
    """What a checkpoint or a compact file holds."""
    return compact.read(path) if storage.is_container(path) else storage.load(path)
