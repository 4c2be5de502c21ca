"""``fairseq-prune export``: a model as a file to keep, to send or to run elsewhere."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fairseq_prune.checkpoints import storage
from fairseq_prune.cli import _output
from fairseq_prune.exports import compact, ctranslate
from fairseq_prune.exports.stripped import NOTE, stripped
from fairseq_prune.tasks import opening

CTRANSLATE2 = "ctranslate2"

HELP = "write a model as a small file, or for another program"
DESCRIPTION = """
Writes the model of a checkpoint, or of a compact file, in another format: without the optimizer's
state, averages (EMA), masks and the record of the pruning, of which a note of recipe and sparsity
remains. Keep the checkpoint itself to train on, since a run that starts from an export holds no
masks. --half stores floats as float16, and refuses a model with values beyond 65504.

ctranslate2 is a folder for CTranslate2, which translates on CPU and GPU without fairseq or torch,
faster, and with 8-bit weights if asked to. fairseq's Transformers only, pruned or shrunk ones
included; zeros gain nothing there, fewer feed-forward units and heads do. DATA gives the
dictionaries; SentencePiece models in it are copied, so that the folder is all one needs.
"""
EXAMPLES = """
examples:
  fairseq-prune export pruned.pt --format compact --output model.fsz
  fairseq-prune export model.fsz --format checkpoint --output model.pt
  fairseq-generate DATA --path model.pt
  fairseq-prune export pruned.pt --format ctranslate2 --data DATA --output folder
  fairseq-prune export pruned.pt --format ctranslate2 --data DATA --output folder \\
      --quantization int8 --sentencepiece spm.model
"""


@dataclass(frozen=True)
class File:
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
    _output.save(content, path)


FILES = {
    "checkpoint": File(_write_checkpoint, "a fairseq checkpoint, which fairseq opens by itself"),
    "compact": File(compact.write, "without the zeros, compressed; exact; read by this command"),
}


def add(parser: ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="the checkpoint or compact file")
    about = "; ".join(f"{name}: {entry.about}" for name, entry in FILES.items())
    parser.add_argument(
        "--format",
        choices=(*FILES, CTRANSLATE2),
        required=True,
        help=f"{about}; {CTRANSLATE2}: a folder for that program",
    )
    parser.add_argument("--output", metavar="OUT", required=True, help="where to write the model")
    parser.add_argument("--half", action="store_true", help="store floats as float16")
    parser.add_argument(
        "--force", action="store_true", help="replace OUT; a folder only if it is an export"
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON, no text")
    ctranslate.add_arguments(parser.add_argument_group(f"--format {CTRANSLATE2}"))


def run(arguments: Namespace) -> int:
    """Export; returns the exit code."""
    _check(arguments)
    if arguments.format == CTRANSLATE2:
        facts, line = _folder(arguments)
    else:
        facts, line = _file(arguments)
    if arguments.json:
        _output.print_json(facts)
    else:
        print(line)
    return 0


def _check(arguments: Namespace) -> None:
    """Raises ValueError for a flag of another format."""
    if arguments.format == CTRANSLATE2:
        if arguments.half:
            raise ValueError(
                "--half is for files; --format ctranslate2 takes --quantization float16."
            )
        return
    given = {"--data": arguments.data, "--quantization": arguments.quantization,
             "--sentencepiece": arguments.sentencepiece}  # fmt: skip
    for flag, value in given.items():
        if value is not None:
            raise ValueError(
                f"{flag} {value if isinstance(value, str) else ' '.join(value)} has no effect "
                f"with --format {arguments.format}; it is for ctranslate2."
            )


def _folder(arguments: Namespace) -> tuple[dict[str, Any], str]:
    """Write a folder of CTranslate2; what there is to say of it, for programs and people."""
    written = ctranslate.run(arguments)
    source, target = written.languages
    line = f"{written.output}: {_output.in_units(written.size)}, {source} to {target}"
    if not written.sentencepiece:
        line += (
            "\nno SentencePiece model was found: it takes and gives subwords; see --sentencepiece"
        )
    facts = asdict(written)
    return {**facts, "bytes": facts.pop("size"), "format": CTRANSLATE2}, line


def _file(arguments: Namespace) -> tuple[dict[str, Any], str]:
    """Write one of `FILES`; what there is to say of it, for programs and people."""
    path, output = arguments.checkpoint, arguments.output
    _output.check_output(output, arguments.force)
    with _output.Progress() as progress:
        whole = read(path)
        content = stripped(whole, path, arguments.half)
        # the output may replace it
        before = _output.source_of(path, os.path.getsize(path), whole)
        tensors = {id(t): t for t in content["model"].values()}.values()
        tick = progress.phase("writing", 1.0, sum(t.numel() for t in tensors))
        FILES[arguments.format].write(content, output, tick)
    size, dense = os.path.getsize(output), sum(t.numel() * t.element_size() for t in tensors)
    facts = {
        "output": output,
        "bytes": size,
        "format": arguments.format,
        "half": arguments.half,
        "tensor_bytes": dense,
        "note": content.get(NOTE),
    }
    share = f"{size / max(dense, 1):.1%} of its tensors"
    return facts, f"{output}: {_output.in_units(size)}, {share}, from {before}"


def read(path: str) -> dict[str, Any]:
    """What a checkpoint or a compact file holds."""
    return opening.read(path, compact.read(path) if storage.is_container(path) else None).content
