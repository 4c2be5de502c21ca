"""How we say no inside fairseq's programs, and what is asked for where we are wrong ourselves."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata

from fairseq_prune import __version__
from fairseq_prune.pruning.record import this_command


class Refusal(SystemExit, ValueError):
    """Ends fairseq's programs with its sentence; ours catch the ValueError that it is too.

    Args:
        sentence: what is wrong, and what to do.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(f"fairseq_prune: {sentence}")
        self.sentence = sentence


@contextmanager
def one_sentence() -> Iterator[None]:
    """Makes a ValueError a Refusal: no traceback of fairseq's program."""
    try:
        yield
    except Refusal:
        raise
    except ValueError as error:
        raise Refusal(str(error)) from None


def first_line(error: Exception) -> str:
    """What an error of fairseq's says first, to be part of a sentence; its kind if nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def what_to_send() -> str:
    """The line below the traceback of a bug of ours."""
    versions = [f"fairseq_prune {__version__}", f"Python {platform.python_version()}"]
    versions += [f"{name} {_version(name)}" for name in ("torch", "fairseq")]
    return (
        "fairseq_prune: this is a bug; send the lines above and this one to the maintainers of "
        f"fairseq_prune: {', '.join(versions)}; {this_command()}"
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"
