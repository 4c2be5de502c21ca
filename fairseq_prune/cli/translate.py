"""``fairseq-prune translate``: lines of text in, as many lines of translations out."""

import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import fields
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from fairseq_prune.cli import _output
from fairseq_prune.cli._progress import Progress
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.files.writing import replacing

if TYPE_CHECKING:
    from fairseq_prune.evaluation.lines import LineTranslator

_BATCHES = 16  # that are read at a time: sentences of like length are translated together


def run(arguments: Namespace) -> int:
    """Translate; returns the exit code."""
    _check_files(arguments)
    with ExitStack() as stack:
        source = stack.enter_context(_source(arguments.input))
        with Progress(f"opening {arguments.model}"):
            translator = stack.enter_context(_translator(arguments))
        write = stack.enter_context(_target(arguments.output))
        _translate(translator, source, write, arguments)
    return 0


def _check_files(arguments: Namespace) -> None:
    if arguments.output is not None:
        _output.check_output(arguments.output, arguments.force)
    if arguments.input is not None and not Path(arguments.input).is_file():
        raise ValueError(f"--input {arguments.input} is not a file; give one of lines of text.")


def _translator(arguments: Namespace) -> "LineTranslator":
    from fairseq_prune.evaluation.lines import open_lines  # these load fairseq
    from fairseq_prune.evaluation.segmentation import Segmentation
    from fairseq_prune.exports.forms import task_of

    given = {f.name: getattr(arguments, f.name) for f in fields(Settings) if f.name in arguments}
    settings = Settings(valid_subset=None, **given)
    names = ("sentencepiece", "bpe_codes", "tokenizer", "tokens")
    how = Segmentation(*(getattr(arguments, name) for name in names))
    for doubt in settings.unused([task_of(arguments.model, settings.model_overrides)]):
        _output.warn(doubt)
    return open_lines(arguments.model, settings, how)


def _translate(
    translator: "LineTranslator",
    source: BinaryIO,
    write: Callable[[str], Any],
    arguments: Namespace,
) -> None:
    """Translate all lines, some at a time; of somebody who types them, each at once."""
    from fairseq_prune.evaluation.lines import BATCH

    typed = source.isatty()
    at_once = 1 if typed else _BATCHES * (arguments.batch_size or BATCH)
    lines, done = _decoded(source, arguments.input or "stdin"), 0
    with nullcontext() if typed else Progress("translating") as progress:
        while some := list(islice(lines, at_once)):
            write("".join(line + "\n" for line in translator.translate(some)))
            done += len(some)
            if progress is not None:
                progress.say(f"translated {done:,} lines")


def _source(path: str | None) -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdin.buffer) if path is None else open(path, "rb")


def _decoded(source: BinaryIO, name: str) -> Iterator[str]:
    """The lines, as soon as each is there; only a line feed ends one."""
    for number, line in enumerate(iter(source.readline, b""), 1):
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError:
            raise ValueError(
                f"line {number} of {name} is not UTF-8: convert the text, for example with iconv."
            ) from None


@contextmanager
def _target(path: str | None) -> Iterator[Callable[[str], Any]]:
    """What writes text: to stdout at once, or to a file that is there when all is written."""
    if path is not None:
        with replacing(path) as file:
            yield lambda text: file.write(text.encode("utf-8"))
        return
    if isinstance(sys.stdout, TextIOWrapper):  # as the input, wherever this runs
        sys.stdout.reconfigure(encoding="utf-8")
    yield _print_at_once


def _print_at_once(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
