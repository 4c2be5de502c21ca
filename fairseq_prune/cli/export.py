"""``fairseq-prune export``: a model as a file to keep, to send or to run elsewhere."""

import os
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from fairseq_prune.checkpoints import storage
from fairseq_prune.cli import _output
from fairseq_prune.cli._progress import Progress
from fairseq_prune.exports import (
    check_format,
    compact,
)
from fairseq_prune.exports.forms import FOLDERS, write_folder
from fairseq_prune.exports.stripped import NOTE, stripped
from fairseq_prune.tasks import opening


def _write_checkpoint(content: Mapping[str, Any], path: str, tick: Callable[[int], None]) -> None:
    _output.check_space(path, content["model"].values())
    _output.save(content, path)


# by format: takes the stripped checkpoint, the path of the output, and what is to be called with
# the number of weights done
WRITERS: dict[str, Callable[[Mapping[str, Any], str, Callable[[int], None]], None]] = {
    "checkpoint": _write_checkpoint,
    "compact": compact.write,
}


def run(arguments: Namespace) -> int:
    """Export; returns the exit code."""
    given = arguments
    check_format(given.format, given.half, given.data, given.quantization, given.sentencepiece,
                 given.shortlist)  # fmt: skip
    if arguments.format in FOLDERS:
        facts, line = _folder(arguments)
    else:
        facts, line = _file(arguments)
    if arguments.json:
        _output.print_json(facts)
    else:
        print(line)
    return 0


def _folder(arguments: Namespace) -> tuple[dict[str, Any], str]:
    """Write a folder; what there is to say of it, for programs and people."""
    with Progress(f"exporting {arguments.checkpoint}") as progress:
        written = write_folder(
            arguments.format, arguments.checkpoint, arguments.data, arguments.output,
            quantization=arguments.quantization, sentencepiece=arguments.sentencepiece,
            shortlist=arguments.shortlist, force=arguments.force, tell=progress.say,
        )  # fmt: skip
    source, target = written.languages
    line = f"{written.output}: {_output.in_units(written.size)}, {source} to {target}"
    if not written.sentencepiece:
        line += (
            "\nno SentencePiece model was found: it takes and gives subwords; see --sentencepiece"
        )
    if written.shortlist is not None:
        line += f"\n{shortlist_line(written.shortlist)}"
    if written.zeros is not None:
        line += f"\n{written.zeros}"
    facts = asdict(written)
    return {**facts, "bytes": facts.pop("size"), "format": arguments.format}, line


def shortlist_line(facts: Mapping[str, Any]) -> str:
    """What there is to say of a lexical shortlist: see :mod:`fairseq_prune.exports.shortlist`."""
    count, found = facts["candidates"], facts["coverage"]
    some = f"{facts['pairs']:,} of " if facts["pairs"] < facts["of"] else ""
    line = (
        f"shortlist: the {count:,} likeliest translations of each word and the {count:,} most "
        f"frequent words, from {some}{facts['of']:,} pairs of sentences"
    )
    if found is None:
        return f"{line}; DATA has no valid set to measure its coverage on"
    return (
        f"{line}; of {found['subset']}'s reference it covers {found['tokens']:.2%} of the tokens "
        f"and all of {found['sentences']:.1%} of the sentences, with {found['words']:,.0f} words a "
        "sentence on average"
    )


def _file(arguments: Namespace) -> tuple[dict[str, Any], str]:
    """Write a file, by one of `WRITERS`; what there is to say of it, for programs and people."""
    path, output = arguments.checkpoint, arguments.output
    _output.check_output(output, arguments.force)
    with Progress() as progress:
        whole = read(path)
        content = stripped(whole, path, arguments.half)
        # the output may replace it
        before = _output.source_of(path, os.path.getsize(path), whole)
        tensors = {id(t): t for t in content["model"].values()}.values()
        tick = progress.phase("writing", 1.0, sum(t.numel() for t in tensors))
        WRITERS[arguments.format](content, output, tick)
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
